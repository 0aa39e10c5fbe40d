(** Near falsehoods of group B, each disproved by a law; numbers by interval arithmetic. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Singdiffusion Require Import Base Gaussian Space Mixture Divergence Formulas B B_total B_jung B_pairs B_small Golden.
Local Open Scope R_scope.

(** Atoms at -1 and 1 of equal weight *)
Definition signs_p : nat -> R := fun _ => 1 / 2.
Definition signs_y : nat -> vec := fun i _ => match i with O => -1 | _ => 1 end.

Lemma signs_weights : weights 2 signs_p.
Proof. split; [intros; unfold signs_p; lra|unfold signs_p; simpl; lra]. Qed.

Lemma signs_trace : trC 1 2 signs_p signs_y = 1.
Proof. unfold trC, xi, mean, vsum, vscal, vminus, sq, dot, signs_p, signs_y. simpl. field. Qed.

Lemma signs_pairs g rate : pairs 1 2 signs_p signs_y g rate = ln (1 / 2 + 1 / 2 * exp (- (g * 4 / rate))).
Proof.
  unfold pairs. assert (D : forall i j, dist2 1 (signs_y i) (signs_y j) = (signs_y i 0%nat - signs_y j 0%nat) ^ 2).
  { intros. unfold dist2, sq, dot, vminus. simpl. ring. }
  simpl. rewrite !D. unfold signs_p, signs_y.
  replace ((-1 - -1) ^ 2) with 0 by ring. replace ((1 - 1) ^ 2) with 0 by ring. replace ((-1 - 1) ^ 2) with 4 by ring. replace ((1 - -1) ^ 2) with 4 by ring.
  rewrite (exp_zero (- (g * 0 / rate))) by (unfold Rdiv; ring).
  replace (0 + 1 / 2 * 1 + 1 / 2 * exp (- (g * 4 / rate))) with (1 / 2 + 1 / 2 * exp (- (g * 4 / rate))) by ring.
  replace (0 + 1 / 2 * exp (- (g * 4 / rate)) + 1 / 2 * 1) with (1 / 2 + 1 / 2 * exp (- (g * 4 / rate))) by ring. field.
Qed.

Lemma signs_kl g : 0 <= g -> g / 2 + ln (1 / 2 + 1 / 2 * exp (- (g * 4 / 2))) <= KL 1 2 signs_p (shift 2 signs_p signs_y g).
Proof.
  intros Hg. pose proof (B9_lower 1 2 signs_p signs_y g signs_weights Hg) as L. rewrite tie_kl_trace_bound, signs_trace, signs_pairs in L.
  unfold kl_trace in L. lra.
Qed.

(** B1 with 2g for g *)
Theorem B1_twin_double : chi2 1 3 golden_p (shift 3 golden_p golden_y (3 / 10)) <> golden_chi2 (2 * (3 / 10)).
Proof. rewrite Golden_chi2_exact by lra. apply Rlt_not_eq. unfold golden_chi2. interval. Qed.

(** B2 with log(1 + chi^2/3) *)
Theorem B2_twin_third : ln (1 + chi2 1 3 golden_p (shift 3 golden_p golden_y (1 / 100)) / 3) < KL 1 3 golden_p (shift 3 golden_p golden_y (1 / 100)).
Proof.
  pose proof Golden_kl_001 as H. apply Rabs_le_between in H. rewrite Golden_chi2_exact by lra.
  apply Rlt_le_trans with (0.0000119328 - / 10 ^ 8); [unfold golden_chi2; interval with (i_prec 80)|lra].
Qed.

(** B3 with a quarter *)
Theorem B3_twin_quarter : 4 * trC 1 2 signs_p signs_y / 4 < KL 1 2 signs_p (shift 2 signs_p signs_y 4).
Proof. eapply Rlt_le_trans; [|apply signs_kl; lra]. rewrite signs_trace. interval. Qed.

(** TV is at least the mean of any h between -1 and 1, here [1 - 2 exp(-u^2/2)]. *)
Lemma tv_lower n p m : weights n p ->
  (1 - sumn n (fun i => p i * exp (- m i 0%nat ^ 2 / 4))) / sqrt 2 <= TV 1 n p m.
Proof.
  intros Hw. set (q := fun u => exp (dot 1 (fun _ => 0) u - quad 1 (fun _ => 1) u / 2)).
  assert (Tq : tame 1 q) by (apply tame_gauss; intros; lra).
  assert (Q : forall u, 0 <= q u <= 1).
  { intros u. split; [left; apply exp_pos|]. rewrite <- exp_0. apply exp_le_mono. assert (0 <= quad 1 (fun _ => 1) u) by (apply quad_nonneg; intros; lra).
    replace (dot 1 (fun _ => 0) u) with 0 by (unfold dot; simpl; ring). lra. }
  assert (S2 : 0 < sqrt 2) by (apply sqrt_lt_R0; lra).
  assert (Er : forall i, E 1 (fun u => ratio 1 (m i) u * q u) = exp (- m i 0%nat ^ 2 / 4) / sqrt 2).
  { intros i. rewrite (E_ext 1 _ (fun u => exp (- (sq 1 (m i) / 2)) * exp (dot 1 (m i) u - quad 1 (fun _ => 1) u / 2))).
    - rewrite E_scal by (apply tame_gauss; intros; lra). rewrite E_mgf by (intros; lra). simpl prodn. rewrite Rmult_1_l.
      replace (1 + 1) with 2 by ring. change (m i 0%nat * (m i 0%nat * 1)) with (m i 0%nat ^ 2).
      assert (X : exp (- m i 0%nat ^ 2 / 4) = exp (- (sq 1 (m i) / 2)) * exp (m i 0%nat ^ 2 / (2 * 2))) by
        (rewrite <- exp_plus; f_equal; unfold sq, dot; simpl; field).
      rewrite X. unfold Rdiv. ring.
    - intros u. unfold q, ratio. rewrite <- !exp_plus. f_equal. unfold dot. simpl. ring. }
  assert (Eq : E 1 q = 1 / sqrt 2).
  { unfold q. rewrite E_mgf by (intros; lra). simpl prodn. rewrite Rmult_1_l. replace (1 + 1) with 2 by ring. rewrite exp_zero by field. auto. }
  assert (T1 := tame_mix 1 n p m). assert (T2 : tame 1 (fun u => mix 1 n p m u * q u)) by (apply tame_mult; auto).
  assert (Em : E 1 (fun u => mix 1 n p m u * q u) = sumn n (fun i => p i * exp (- m i 0%nat ^ 2 / 4)) / sqrt 2).
  { rewrite E_mix by auto. unfold Rdiv. rewrite <- sumn_scal_r. apply sumn_ext. intros i _. rewrite Er. unfold Rdiv. ring. }
  unfold TV. apply Rmult_le_reg_r with 2; [lra|].
  replace (E 1 (fun u => Rabs (mix 1 n p m u - 1)) / 2 * 2) with (E 1 (fun u => Rabs (mix 1 n p m u - 1))) by field.
  apply Rle_trans with (E 1 (fun u => mix 1 n p m u - 1 - 2 * (mix 1 n p m u * q u) + 2 * q u)).
  - right. rewrite E_plus, E_minus, E_minus, !E_scal, E_const, Em, Eq, E_mix_1; auto; try tm. field. lra.
  - apply E_le; [tm|tm|]. intros u. destruct (Q u). pose proof (Rle_abs (mix 1 n p m u - 1)). pose proof (Rle_abs (- (mix 1 n p m u - 1))). rewrite Rabs_Ropp in *.
    pose proof (Rabs_pos (mix 1 n p m u - 1)). nra.
Qed.

Lemma signs_tv : (1 - exp (-1)) / sqrt 2 <= TV 1 2 signs_p (shift 2 signs_p signs_y 4).
Proof.
  eapply Rle_trans; [|apply (tv_lower 2 signs_p _ signs_weights)]. right. f_equal. cbn [sumn].
  assert (Sh : forall i, shift 2 signs_p signs_y 4 i 0%nat ^ 2 = 4).
  { intros i. unfold shift, vscal. rewrite Rpow_mult_distr, pow2_sqrt by lra. unfold xi, mean, vsum, vscal, vminus, signs_p, signs_y. destruct i; simpl; field. }
  rewrite !Sh. replace (- (4) / 4) with (-1) by field. unfold signs_p. field.
Qed.

(** B3's sharpest bound with half the distance *)
Theorem B3_twin_distance : sumn 2 (fun i => signs_p i * Formulas.tv_shift (sqrt 4 * vnorm 1 (xi 2 signs_p signs_y i) / 2)) < TV 1 2 signs_p (shift 2 signs_p signs_y 4).
Proof.
  eapply Rlt_le_trans; [|apply signs_tv]. assert (N : forall i, vnorm 1 (xi 2 signs_p signs_y i) = 1).
  { intros i. unfold vnorm. replace (sq 1 (xi 2 signs_p signs_y i)) with 1; [apply sqrt_1|]. unfold sq, dot, xi, mean, vsum, vscal, vminus, signs_p, signs_y. destruct i; simpl; field. }
  simpl sumn. rewrite !N, tie_tv_shift. replace (sqrt 4 * 1 / 2) with 1 by (replace 4 with (2 * 2) by ring; rewrite sqrt_square by lra; field).
  rewrite Rabs_R1. pose proof (half_le (1 / 2) ltac:(lra)) as H. assert (P : 0 < / sqrt (2 * PI)) by (apply Rinv_0_lt_compat, sqrt_lt_R0; pose proof PI_RGT_0; lra).
  apply Rle_lt_trans with (/ sqrt (2 * PI)); [|interval]. unfold signs_p, Rdiv in *. nra.
Qed.

(** B3's trace bound without the root of 2 pi *)
Theorem B3_twin_root : sqrt (4 * trC 1 2 signs_p signs_y) / (2 * PI) < TV 1 2 signs_p (shift 2 signs_p signs_y 4).
Proof. eapply Rlt_le_trans; [|apply signs_tv]. rewrite signs_trace. interval. Qed.

(** B3 with D^2/4 in the plane: a triangle *)
Definition triangle_p : nat -> R := fun _ => 1 / 3.
Definition triangle_y : nat -> vec := fun i k => match i, k with 1%nat, O => 10 | 2%nat, O => 5 | 2%nat, 1%nat => 8 | _, _ => 0 end.

Theorem B3_twin_diameter : (forall i j, (i < 3)%nat -> (j < 3)%nat -> dist2 2 (triangle_y i) (triangle_y j) <= 10 ^ 2) /\ 10 ^ 2 / 4 < trC 2 3 triangle_p triangle_y.
Proof.
  split.
  - intros i j Hi Hj. unfold dist2, sq, dot, vminus. destruct i as [|[|[|]]]; try lia; destruct j as [|[|[|]]]; try lia; simpl; lra.
  - unfold trC, xi, mean, vsum, vscal, vminus, sq, dot, triangle_p, triangle_y. simpl. lra.
Qed.

(** B5 without the half *)
Theorem B5_twin_half : KL 1 3 golden_p (shift 3 golden_p golden_y (3 / 10))
  < 3 / 10 * lam 3 golden_p golden_y 0 - ln (1 + 3 / 10 * lam 3 golden_p golden_y 0).
Proof.
  pose proof Golden_kl_03 as H. apply Rabs_le_between in H. apply Rle_lt_trans with (0.0097027719 + / 10 ^ 8); [lra|].
  replace (lam 3 golden_p golden_y 0) with (6921 / 10000).
  - interval.
  - unfold lam, xi, mean, vsum, vscal, vminus, golden_p, golden_y. simpl. field.
Qed.

(** B7 with 1 + g tr C in the plane *)
Definition plane_y : nat -> vec := fun i k => match k with O => signs_y i 0%nat | _ => 0 end.

Theorem B7_twin_trace : let T := trC 2 2 signs_p plane_y in
  KL_to 2 2 signs_p (shift 2 signs_p plane_y 1) (iso_log 2 (1 + 1 * T / 2) (fun _ => 0))
  < KL_to 2 2 signs_p (shift 2 signs_p plane_y 1) (iso_log 2 (1 + 1 * T) (fun _ => 0)).
Proof.
  intros T. assert (HT : T = 1) by (unfold T, trC, xi, mean, vsum, vscal, vminus, sq, dot, signs_p, plane_y, signs_y; simpl; field).
  rewrite HT. rewrite !(kl_to_iso 2 2 signs_p plane_y 1 signs_weights) by lra. fold T. rewrite HT.
  assert (Hs : sq 2 (fun _ => 0) = 0) by (unfold sq, dot; simpl; ring). rewrite Hs. simpl INR.
  apply Rplus_lt_compat_l. interval.
Qed.

(** B8 with a quarter for the network *)
Theorem B8_twin_quarter : exists net, let e := vscal (sqrt 1) (vminus net (mean 2 signs_p signs_y)) in
  KL_to 1 2 signs_p (shift 2 signs_p signs_y 1) (fun u => dot 1 e u - sq 1 e / 2)
  <> KL 1 2 signs_p (shift 2 signs_p signs_y 1) + 1 * dist2 1 net (mean 2 signs_p signs_y) / 4.
Proof.
  exists (fun _ => 1). intros e. unfold e. rewrite (B8_step 1 2 signs_p signs_y 1 signs_weights) by lra. rewrite tie_network_error.
  assert (D : dist2 1 (fun _ => 1) (mean 2 signs_p signs_y) = 1) by (unfold dist2, sq, dot, vminus, mean, vsum, vscal, signs_p, signs_y; simpl; field).
  rewrite D. intros H. lra.
Qed.

(** B9's lower bound with 4 in the place of 2: nine to one *)
Definition nine_p : nat -> R := fun i => match i with O => 9 / 10 | _ => 1 / 10 end.

Lemma nine_weights : weights 2 nine_p.
Proof. split; [intros i _; destruct i; simpl; lra|simpl; lra]. Qed.

Theorem B9_twin_lower : KL 1 2 nine_p (shift 2 nine_p signs_y (1 / 10)) < kl_trace (1 / 10) (trC 1 2 nine_p signs_y) + pairs 1 2 nine_p signs_y (1 / 10) 4.
Proof.
  assert (HT : trC 1 2 nine_p signs_y = 36 / 100) by (unfold trC, xi, mean, vsum, vscal, vminus, sq, dot, nine_p, signs_y; simpl; field).
  assert (HL : lam 2 nine_p signs_y 0 = 36 / 100) by (unfold lam, xi, mean, vsum, vscal, vminus, nine_p, signs_y; simpl; field).
  eapply Rle_lt_trans; [apply (B10_family 1 2 nine_p signs_y (1 / 10) nine_weights ltac:(lra) 1 (fun _ => 36 / 1036)); intros; lra|].
  unfold family, kl_trace, pairs, pair_exponent. rewrite HT. simpl sumn. rewrite HL, tie_family_gauss_part. unfold family_part.
  assert (Sh : forall i, shift 2 nine_p signs_y (1 / 10) i 0%nat = sqrt (1 / 10) * (match i with O => - (2 / 10) | _ => 18 / 10 end)).
  { intros i. unfold shift, xi, mean, vsum, vscal, vminus, nine_p, signs_y. destruct i; simpl; field. }
  assert (Sq : forall i, sq 1 (shift 2 nine_p signs_y (1 / 10) i) = 1 / 10 * (match i with O => 4 / 100 | _ => 324 / 100 end)).
  { intros i. unfold sq, dot. simpl. rewrite Sh. rewrite Rplus_0_l.
    replace (1 / 10) with (sqrt (1 / 10) * sqrt (1 / 10)) at 3 by (apply sqrt_sqrt; lra). destruct i; field. }
  assert (D : forall i j, dist2 1 (signs_y i) (signs_y j) = (signs_y i 0%nat - signs_y j 0%nat) ^ 2) by (intros; unfold dist2, sq, dot, vminus; simpl; ring).
  rewrite !Sh, !Sq, !D. unfold nine_p, signs_y. interval with (i_prec 80).
Qed.

(** B10 with half of (1 - beta) g tr C *)
Theorem B10_twin_half_trace : / 2 * (1 - / 2) * (4 * trC 1 2 signs_p signs_y) + pairs 1 2 signs_p signs_y 4 8 < KL 1 2 signs_p (shift 2 signs_p signs_y 4).
Proof. eapply Rlt_le_trans; [|apply signs_kl; lra]. rewrite signs_trace, signs_pairs. interval. Qed.

(** C5 with a quarter: it is B3 from alpha_1 = 0 *)
Theorem C5_twin_quarter : exists a s, 0 < s /\ (a ^ 2 / s ^ 2) * trC 1 2 signs_p signs_y / 4 < KL 1 2 signs_p (shift 2 signs_p signs_y (a ^ 2 / s ^ 2)).
Proof.
  exists 2, 1. split; [lra|]. replace (2 ^ 2 / 1 ^ 2) with 4 by field. apply B3_twin_quarter.
Qed.

(** D3: W_2^2 with half the trace *)
Theorem D3_twin_half : sumn 2 (fun i => signs_p i * dist2 1 (signs_y i) (mean 2 signs_p signs_y)) <> trC 1 2 signs_p signs_y / 2.
Proof.
  intros H. assert (X : sumn 2 (fun i => signs_p i * dist2 1 (signs_y i) (mean 2 signs_p signs_y)) = trC 1 2 signs_p signs_y) by reflexivity.
  rewrite X, signs_trace in H. lra.
Qed.

(** B12 with [1 - exp(-U)] for the root *)
Theorem B12_twin_linear : 1 - exp (- KL 1 3 golden_p (shift 3 golden_p golden_y (3 / 10))) < TV 1 3 golden_p (shift 3 golden_p golden_y (3 / 10)).
Proof.
  pose proof Golden_kl_03 as H. apply Rabs_le_between in H. eapply Rlt_le_trans; [|apply (tv_lower 3 golden_p _ golden_weights)].
  apply Rle_lt_trans with (1 - exp (- (0.0097027719 + / 10 ^ 8))).
  - assert (exp (- (0.0097027719 + / 10 ^ 8)) <= exp (- KL 1 3 golden_p (shift 3 golden_p golden_y (3 / 10)))) by (apply exp_le_mono; lra). lra.
  - assert (Sh : forall i, shift 3 golden_p golden_y (3 / 10) i 0%nat = sqrt (3 / 10) * pick (- (147 / 100)) (3 / 100) (93 / 100) i).
    { intros i. unfold shift, xi, mean, vsum, vscal, vminus, golden_y, golden_p. destruct i as [|[|i]]; simpl; field. }
    simpl sumn. rewrite !Sh. unfold golden_p. simpl pick. interval.
Qed.

(** B6 with (tr C)^2 for the Frobenius norm: three atoms in the plane *)
Definition corner_p : nat -> R := fun _ => 1 / 3.
Definition corner_y : nat -> vec := fun i k => match i, k with 1%nat, O => 1 | 2%nat, 1%nat => 1 | _, _ => 0 end.

Theorem B6_twin_trace : ~ exists K, forall g, 0 <= g <= 1 -> Rabs (KL 2 3 corner_p (shift 3 corner_p corner_y g) - g ^ 2 / 4 * trC 2 3 corner_p corner_y ^ 2) <= K * g ^ 3.
Proof.
  intros [K HK]. assert (Hw : weights 3 corner_p) by (split; [intros; unfold corner_p; lra|unfold corner_p; simpl; lra]).
  destruct (B6_leading 2 3 corner_p corner_y Hw) as [K' HK'].
  assert (HT : trC 2 3 corner_p corner_y = 4 / 9) by (unfold trC, xi, mean, vsum, vscal, vminus, sq, dot, corner_p, corner_y; simpl; field).
  assert (HF : frob2 2 3 corner_p corner_y = 10 / 81) by (unfold frob2, xi, mean, vsum, vscal, vminus, dot, corner_p, corner_y; simpl; field).
  rewrite HT in HK. set (M := Rabs (K + K') + 1). assert (HM : 1 <= M) by (unfold M; pose proof (Rabs_pos (K + K')); lra).
  set (g := / (100 * M)). assert (Hg : 0 < g <= 1).
  { unfold g. split; [apply Rinv_0_lt_compat; lra|]. rewrite <- Rinv_1. apply Rinv_le_contravar; lra. }
  specialize (HK g ltac:(lra)). specialize (HK' g ltac:(lra)). rewrite HF in HK'. unfold Formulas.kl_small_gap in HK'.
  apply Rabs_le_between in HK. apply Rabs_le_between in HK'. assert (G2 : 0 < g ^ 2) by (apply pow_lt; lra).
  assert (E3 : (K + K') * g ^ 3 <= g ^ 2 / 100).
  { pose proof (Rle_abs (K + K')). apply Rle_trans with (M * g ^ 3); [apply Rmult_le_compat_r; [apply pow_le; lra|unfold M; lra]|].
    right. unfold g. field. lra. }
  lra.
Qed.

(** What C5 says of its constant: with less than one half the bound is false, for atoms at -1 and 1 and a large enough ratio. *)
Theorem C5_best c : c < 1 / 2 -> exists snr, 0 <= snr /\ c * (snr * trC 1 2 signs_p signs_y) < KL 1 2 signs_p (shift 2 signs_p signs_y snr).
Proof.
  intros Hc. set (g := 1 / (1 / 2 - c)). assert (Hg : 0 < g) by (apply Rdiv_lt_0_compat; lra). exists g. split; [lra|].
  eapply Rlt_le_trans; [|apply signs_kl; lra]. rewrite signs_trace.
  assert (L : ln (1 / 2) <= ln (1 / 2 + 1 / 2 * exp (- (g * 4 / 2)))) by (apply ln_le_mono; [lra|pose proof (exp_pos (- (g * 4 / 2))); lra]).
  assert (L2 : -1 < ln (1 / 2)) by interval. assert (E : (1 / 2 - c) * g = 1) by (unfold g; field; lra). lra.
Qed.

(** For Gaussian data, whose divergence is [kl_gauss_term] along every eigenvector, the slack is half of log det(I + snr Sigma). *)
Theorem C5_slack d (l : nat -> R) snr : Formulas.kl_terminal_bound snr (sumn d l) - sumn d (fun k => Formulas.kl_gauss_term snr (l k))
  = sumn d (fun k => ln (1 + snr * l k)) / 2.
Proof.
  unfold Formulas.kl_terminal_bound, Rdiv. rewrite <- sumn_scal, <- !sumn_scal_r, <- sumn_minus. apply sumn_ext. intros k _.
  rewrite tie_kl_gauss_term. unfold kl_gauss. field.
Qed.
