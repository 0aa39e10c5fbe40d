(** What the proofs of group B share: facts about every mixture P of Gaussians against Q = N(0, I), with any shifts, centred or not. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space Mixture.
Local Open Scope R_scope.

Section Law.
Variables (d n : nat) (p : nat -> R).
Hypothesis Hw : weights n p.

Lemma Hp : forall i, (i < n)%nat -> 0 <= p i.
Proof. apply Hw. Qed.
Lemma Hsum : sumn n p = 1.
Proof. apply Hw. Qed.

Section Shifts.
(** Any shifts, centred or not *)
Variable m : nat -> vec.
Notation r := (mix d n p m).

Let Tr : tame d r. Proof. apply tame_mix. Qed.
Let Tl : tame d (fun u => ln (r u)). Proof. apply tame_ln_mix; auto. Qed.
Let Trl : tame d (fun u => r u * ln (r u)). Proof. apply tame_mult; auto. Qed.
Let Pr : forall u, 0 < r u. Proof. intros; apply mix_pos; auto. Qed.
Let Er : E d r = 1. Proof. apply E_mix_1; auto. Qed.

(** *** B1 *)

Lemma E_mix_sq : E d (fun u => r u * r u) = sumn n (fun i => sumn n (fun j => p i * p j * exp (dot d (m i) (m j)))).
Proof.
  rewrite E_mix by apply tame_mix. apply sumn_ext. intros i _.
  rewrite (E_ext d _ (fun u => sumn n (fun j => p j * (ratio d (m i) u * ratio d (m j) u)))).
  2:{ intros u. unfold mix. rewrite <- sumn_scal. apply sumn_ext. intros; ring. }
  rewrite E_sum by (intros; apply tame_scal, tame_mult; apply tame_ratio). rewrite <- sumn_scal. apply sumn_ext. intros j _.
  rewrite E_scal by (apply tame_mult; apply tame_ratio). rewrite Rmult_assoc. do 2 f_equal.
  rewrite (E_ext d _ (fun u => exp (- (sq d (m j) / 2)) * (ratio d (m i) u * exp (dot d (m j) u)))).
  - rewrite E_scal, E_ratio_exp by (apply tame_mult; [apply tame_ratio|apply tame_exp, lip_dot]). rewrite <- exp_plus. f_equal. ring.
  - intros u. unfold ratio. rewrite <- !exp_plus. f_equal. ring.
Qed.

Lemma chi2_value : chi2 d n p m = sumn n (fun i => sumn n (fun j => p i * p j * exp (dot d (m i) (m j)))) - 1.
Proof.
  rewrite <- E_mix_sq. unfold chi2. rewrite (E_ext d _ (fun u => r u * r u - (2 * r u - 1))) by (intros; ring).
  rewrite E_minus, E_minus, E_scal, E_const, Er; auto.
  - ring.
  - apply tame_scal; auto.
  - apply tame_const.
  - apply tame_mult; auto.
  - apply tame_minus; [apply tame_scal; auto|apply tame_const].
Qed.

(** *** B2 *)

Lemma kl_chi2 : KL d n p m <= ln (1 + chi2 d n p m).
Proof.
  set (c := 1 + chi2 d n p m).
  assert (Hc : c = E d (fun u => r u * r u)) by (unfold c; rewrite chi2_value, E_mix_sq; ring).
  assert (Tr2 : tame d (fun u => r u * r u)) by (apply tame_mult; auto).
  assert (H1 : 1 <= c).
  { assert (0 <= chi2 d n p m); [|unfold c; lra]. unfold chi2. rewrite <- (E_const d 0).
    apply E_le; [apply tame_const| |intros; apply pow2_ge_0].
    rewrite (functional_extensionality (fun u => (r u - 1) ^ 2) (fun u => (r u - 1) * (r u - 1))) by (intros; ring).
    apply tame_mult; apply tame_minus; auto; apply tame_const. }
  unfold KL. apply Rle_trans with (E d (fun u => (ln c - 1) * r u + / c * (r u * r u))).
  - apply E_le; auto; [apply tame_plus; apply tame_scal; auto|]. intros u. specialize (Pr u).
    assert (ln (r u / c) <= r u / c - 1) by (apply ln_le_sub, Rdiv_lt_0_compat; lra).
    rewrite ln_div in H by lra. unfold Rdiv in H. nra.
  - rewrite E_plus, !E_scal, Er, <- Hc; auto; try (apply tame_scal; auto). right. field. lra.
Qed.

Lemma tame_chi : tame d (fun u => (r u - 1) ^ 2).
Proof.
  rewrite (functional_extensionality (fun u => (r u - 1) ^ 2) (fun u => (r u - 1) * (r u - 1))) by (intros; ring).
  apply tame_mult; apply tame_minus; auto; apply tame_const.
Qed.

Lemma tame_dev : tame d (fun u => Rabs (r u - 1)).
Proof. apply tame_abs, tame_minus; auto. apply tame_const. Qed.

Lemma tv_chi2 : TV d n p m <= sqrt (chi2 d n p m) / 2.
Proof.
  unfold TV. apply Rmult_le_compat_r; [lra|]. set (c := E d (fun u => Rabs (r u - 1))).
  assert (Hc : 0 <= c). { unfold c. rewrite <- (E_const d 0). apply E_le; [apply tame_const|apply tame_dev|intros; apply Rabs_pos]. }
  rewrite <- (sqrt_square c) by auto. apply sqrt_le_1_alt.
  assert (H : E d (fun u => 2 * c * Rabs (r u - 1) - c * c) <= chi2 d n p m).
  { apply E_le; [apply tame_minus; [apply tame_scal, tame_dev|apply tame_const]|apply tame_chi|].
    intros u. assert ((r u - 1) ^ 2 = Rabs (r u - 1) ^ 2) by (rewrite pow2_abs; auto). rewrite H.
    assert (0 <= (Rabs (r u - 1) - c) ^ 2) by apply pow2_ge_0. nra. }
  rewrite E_minus, E_scal, E_const in H; [fold c in H; lra|apply tame_dev|apply tame_scal, tame_dev|apply tame_const].
Qed.

(** *** The family B10 and what it contains

    A pointwise inequality: for positive [f_i] and [W = sum_j p_j f_j], [r ln r <= sum_i p_i r_i ln (r_i W / f_i)]. Here with
    [f_i = r_i^b], written [exp (b h_i)]. *)

Definition W (b : R) (u : vec) : R := sumn n (fun j => p j * exp (b * (dot d (m j) u - sq d (m j) / 2))).

Lemma W_pos b u : 0 < W b u.
Proof.
  destruct (sumn_some_pos n p Hp) as (k & Hk & Hpk); [rewrite Hsum; lra|]. apply sumn_pos.
  - intros i Hi. apply Rmult_le_pos; [apply Hp; auto|left; apply exp_pos].
  - exists k. split; auto. apply Rmult_lt_0_compat; auto. apply exp_pos.
Qed.

Lemma tame_ln_W b : tame d (fun u => ln (W b u)).
Proof.
  apply lip_tame. apply (lip_log_sum d n p (fun j u => b * (dot d (m j) u - sq d (m j) / 2))); [apply Hp|rewrite Hsum; lra|].
  intros. apply lip_scal, lip_ratio_exponent.
Qed.

Lemma tame_W b : tame d (W b).
Proof.
  apply (tame_sum d n (fun j u => p j * exp (b * (dot d (m j) u - sq d (m j) / 2)))). intros. apply tame_scal, tame_exp, lip_scal, lip_ratio_exponent.
Qed.

Lemma pointwise b u : r u * ln (r u) <= sumn n (fun i => p i * (ratio d (m i) u * ((1 - b) * ln (ratio d (m i) u) + ln (W b u)))).
Proof.
  set (h := fun i => dot d (m i) u - sq d (m i) / 2).
  assert (T : forall i, (i < n)%nat -> p i * (ratio d (m i) u * (ln (r u) - (1 - b) * ln (ratio d (m i) u) - ln (W b u)))
                  <= p i * (r u * exp (b * h i) / W b u - ratio d (m i) u)).
  { intros i Hi. apply Rmult_le_compat_l; [apply Hp; auto|]. pose proof (ratio_pos d (m i) u) as Hr. pose proof (W_pos b u) as HW.
    pose proof (Pr u) as Hru. pose proof (exp_pos (b * h i)) as He.
    assert (L : ln (r u * exp (b * h i) / (ratio d (m i) u * W b u)) <= r u * exp (b * h i) / (ratio d (m i) u * W b u) - 1).
    { apply ln_le_sub, Rdiv_lt_0_compat; apply Rmult_lt_0_compat; auto. }
    rewrite ln_div, !ln_mult, ln_exp in L; auto; try (apply Rmult_lt_0_compat; auto).
    rewrite ln_ratio in *. fold (h i) in L |- *.
    apply Rle_trans with (ratio d (m i) u * (r u * exp (b * h i) / (ratio d (m i) u * W b u) - 1)).
    - apply Rmult_le_compat_l; lra.
    - right. field. split; lra. }
  apply sumn_le in T. rewrite (sumn_ext n (fun i => p i * (r u * exp (b * h i) / W b u - ratio d (m i) u))
    (fun i => r u / W b u * (p i * exp (b * h i)) - p i * ratio d (m i) u)) in T.
  2:{ intros; field. pose proof (W_pos b u); lra. }
  rewrite sumn_minus, sumn_scal in T. fold (W b u) in T. change (sumn n (fun i => p i * ratio d (m i) u)) with (r u) in T.
  replace (r u / W b u * sumn n (fun i => p i * exp (b * h i))) with (r u) in T.
  2:{ change (sumn n (fun i => p i * exp (b * h i))) with (W b u). field. pose proof (W_pos b u); lra. }
  rewrite (sumn_ext n _ (fun i => ln (r u) * (p i * ratio d (m i) u) - p i * (ratio d (m i) u * ((1 - b) * ln (ratio d (m i) u) + ln (W b u))))) in T by (intros; ring).
  rewrite sumn_minus, sumn_scal in T. change (sumn n (fun i => p i * ratio d (m i) u)) with (r u) in T. lra.
Qed.

Lemma kl_beta b : KL d n p m <= (1 - b) * sumn n (fun i => p i * sq d (m i)) / 2
  + sumn n (fun i => p i * E d (fun u => ratio d (m i) u * ln (W b u))).
Proof.
  assert (T1 : forall i, tame d (fun u => ratio d (m i) u * ln (ratio d (m i) u))).
  { intros. apply tame_mult; [apply tame_ratio|]. apply lip_tame.
    rewrite (functional_extensionality (fun u => ln (ratio d (m i) u)) (fun u => dot d (m i) u - sq d (m i) / 2)) by (intros; apply ln_ratio).
    apply lip_ratio_exponent. }
  assert (T2 : forall i, tame d (fun u => ratio d (m i) u * ln (W b u))) by (intros; apply tame_mult; [apply tame_ratio|apply tame_ln_W]).
  assert (T3 : forall i, tame d (fun u => ratio d (m i) u * ((1 - b) * ln (ratio d (m i) u) + ln (W b u)))).
  { intros i. rewrite (functional_extensionality _ (fun u => (1 - b) * (ratio d (m i) u * ln (ratio d (m i) u)) + ratio d (m i) u * ln (W b u))) by (intros; ring).
    apply tame_plus; auto. apply tame_scal; auto. }
  unfold KL. eapply Rle_trans; [apply E_le; [exact Trl| |apply (pointwise b)]|].
  - apply (tame_sum d n (fun i u => p i * (ratio d (m i) u * ((1 - b) * ln (ratio d (m i) u) + ln (W b u))))). intros; apply tame_scal; auto.
  - right. rewrite E_sum by (intros; apply tame_scal; auto).
    rewrite (sumn_ext n _ (fun i => (1 - b) / 2 * (p i * sq d (m i)) + p i * E d (fun u => ratio d (m i) u * ln (W b u)))).
    + rewrite sumn_plus, sumn_scal. f_equal. field.
    + intros i _. rewrite E_scal by auto.
      rewrite (E_ext d _ (fun u => (1 - b) * (ratio d (m i) u * ln (ratio d (m i) u)) + ratio d (m i) u * ln (W b u))) by (intros; ring).
      rewrite E_plus, E_scal, E_ratio_ln; auto; [|apply tame_scal; auto]. unfold sq. field.
Qed.

(** *** Pinsker, and Bretagnolle and Huber (B12's upper bounds) *)

Lemma pinsker_pointwise x : 0 < x -> (x - 1) ^ 2 <= 2 / 3 * (x + 2) * (x * ln x - x + 1).
Proof.
  (* f = x ln x - x + 1 - 3/2 (x-1)^2/(x+2) is convex with f(1) = f'(1) = 0 *)
  set (f := fun x => x * ln x - x + 1 - 3 / 2 * (x - 1) ^ 2 / (x + 2)).
  set (f1 := fun x => ln x - 3 / 2 * (x - 1) * (x + 5) / (x + 2) ^ 2).
  set (f2 := fun x => / x - 27 / (x + 2) ^ 3).
  assert (D1 : forall x, 0 < x -> is_derive f x (f1 x)).
  { intros z Hz. unfold f, f1. auto_derive; [repeat split; lra|]. field. lra. }
  assert (D2 : forall x, 0 < x -> is_derive f1 x (f2 x)).
  { intros z Hz. unfold f1, f2. auto_derive; [repeat split; try lra; apply Rgt_not_eq; nra|]. field. lra. }
  assert (C : forall x, 0 < x -> 0 <= f2 x).
  { intros z Hz. unfold f2. assert (0 < (z + 2) ^ 3) by (apply pow_lt; lra).
    apply Rmult_le_reg_r with (z * (z + 2) ^ 3); [apply Rmult_lt_0_compat; auto|].
    replace ((/ z - 27 / (z + 2) ^ 3) * (z * (z + 2) ^ 3)) with ((z + 2) ^ 3 - 27 * z) by (field; lra).
    rewrite Rmult_0_l. assert (0 <= (z - 1) ^ 2 * (z + 8)) by (apply Rmult_le_pos; [apply pow2_ge_0|lra]). nra. }
  assert (f 1 = 0) by (unfold f; rewrite ln_1; field). assert (f1 1 = 0) by (unfold f1; rewrite ln_1; field).
  assert (Cont : forall (h h' : R -> R), (forall x, 0 < x -> is_derive h x (h' x)) -> forall z, 0 < z -> continuity_pt h z).
  { intros h h' Hh z Hz. apply derivable_continuous_pt. exists (h' z). apply is_derive_Reals, Hh; auto. }
  assert (S1 : forall z, 0 < z -> (z <= 1 -> f1 z <= 0) /\ (1 <= z -> 0 <= f1 z)).
  { intros z Hz. destruct (MVT_gen f1 1 z f2) as [c [Hc Ec]].
    - intros t Ht. apply D2. unfold Rmin in Ht. destruct (Rle_dec 1 z); lra.
    - intros t Ht. apply (Cont f1 f2 D2). unfold Rmin in Ht. destruct (Rle_dec 1 z); lra.
    - assert (0 < c) by (unfold Rmin in Hc; destruct (Rle_dec 1 z); lra). specialize (C c H1). split; intros; nra. }
  assert (F : forall z, 0 < z -> 0 <= f z).
  { intros z Hz. destruct (MVT_gen f 1 z f1) as [c [Hc Ec]].
    - intros t Ht. apply D1. unfold Rmin in Ht. destruct (Rle_dec 1 z); lra.
    - intros t Ht. apply (Cont f f1 D1). unfold Rmin in Ht. destruct (Rle_dec 1 z); lra.
    - unfold Rmin, Rmax in Hc. destruct (Rle_dec 1 z).
      + destruct (S1 c) as [_ S]; [lra|]. specialize (S ltac:(lra)). nra.
      + destruct (S1 c) as [S _]; [lra|]. specialize (S ltac:(lra)). nra. }
  intros Hx. specialize (F x Hx). unfold f in F.
  apply Rmult_le_compat_l with (r := 2 / 3 * (x + 2)) in F; [|lra].
  replace (2 / 3 * (x + 2) * (x * ln x - x + 1 - 3 / 2 * (x - 1) ^ 2 / (x + 2)))
    with (2 / 3 * (x + 2) * (x * ln x - x + 1) - (x - 1) ^ 2) in F by (field; lra). lra.
Qed.

Lemma kl_nonneg : 0 <= KL d n p m.
Proof.
  unfold KL. replace 0 with (E d (fun u => r u - 1)).
  - apply E_le; auto; [apply tame_minus; auto; apply tame_const|]. intros u. pose proof (Pr u).
    assert (ln (/ r u) <= / r u - 1) by (apply ln_le_sub, Rinv_0_lt_compat; auto). rewrite ln_Rinv in H0 by auto.
    apply Rmult_le_compat_l with (r := r u) in H0; [|lra]. replace (r u * (/ r u - 1)) with (1 - r u) in H0 by (field; lra). lra.
  - rewrite E_minus, Er, E_const; auto; [ring|apply tame_const].
Qed.

(** Pinsker's inequality for any density ratio that is tame *)
Lemma pinsker_ratio (q : vec -> R) : (forall u, 0 < q u) -> tame d q -> tame d (fun u => q u * ln (q u)) -> E d q = 1 ->
  E d (fun u => Rabs (q u - 1)) / 2 <= sqrt (E d (fun u => q u * ln (q u)) / 2).
Proof.
  intros Pq Tq Tql Eq. set (K := E d (fun u => q u * ln (q u))).
  assert (T : tame d (fun u => q u * ln (q u) - q u)) by (apply tame_minus; auto).
  assert (T1 : tame d (fun u => q u * ln (q u) - q u + 1)) by (apply tame_plus; auto; apply tame_const).
  assert (Td : tame d (fun u => Rabs (q u - 1))) by (apply tame_abs, tame_minus; auto; apply tame_const).
  assert (HB : forall u, 0 <= q u * ln (q u) - q u + 1).
  { intros u. pose proof (Pq u). pose proof (pinsker_pointwise (q u) (Pq u)) as Hq. apply Rnot_lt_le. intros HB. pose proof (pow2_ge_0 (q u - 1)).
    assert (2 / 3 * (q u + 2) * (q u * ln (q u) - q u + 1) < 0) by nra. lra. }
  assert (EB : E d (fun u => q u * ln (q u) - q u + 1) = K).
  { rewrite E_plus, E_minus, E_const, Eq; auto; [fold K; ring|apply tame_const]. }
  assert (HK : 0 <= K) by (rewrite <- EB, <- (E_const d 0); apply E_le; auto; apply tame_const).
  assert (H : forall s, 0 < s -> E d (fun u => Rabs (q u - 1)) <= (2 * s + K / s) / 2).
  { intros s Hs. apply Rle_trans with (E d (fun u => s / 3 * q u + 2 * s / 3 + / (2 * s) * (q u * ln (q u) - q u + 1))).
    - apply E_le; auto; [apply tame_plus; [apply tame_plus; [apply tame_scal; auto|apply tame_const]|apply tame_scal; auto]|].
      intros u. pose proof (Pq u) as Hu. pose proof (pinsker_pointwise (q u) Hu) as Hq. pose proof (HB u) as Hb.
      set (A := 2 / 3 * (q u + 2)) in *. set (B := q u * ln (q u) - q u + 1) in *. assert (HA : 0 < A) by (unfold A; lra).
      assert (Rabs (q u - 1) <= (s * A + B / s) / 2).
      { apply Rsqr_incr_0_var.
        - rewrite <- Rsqr_abs. unfold Rsqr. assert (0 <= (s * A - B / s) ^ 2) by apply pow2_ge_0.
          replace ((s * A + B / s) / 2 * ((s * A + B / s) / 2)) with (A * B + (s * A - B / s) ^ 2 / 4) by (field; lra). nra.
        - assert (0 <= B / s) by (apply Rdiv_le_0_compat; auto). assert (0 <= s * A) by (apply Rmult_le_pos; lra). lra. }
      replace (s / 3 * q u + 2 * s / 3 + / (2 * s) * B) with ((s * A + B / s) / 2) by (unfold A; field; lra). auto.
    - right. rewrite E_plus, E_plus, !E_scal, EB, E_const, Eq; auto; try (apply tame_scal; auto); try apply tame_const; [field; lra|].
      apply tame_plus; [apply tame_scal; auto|apply tame_const]. }
  destruct HK as [HK|HK].
  - set (s := sqrt (K / 2)). assert (Hs : 0 < s) by (apply sqrt_lt_R0; lra). assert (Es : s * s = K / 2) by (apply sqrt_sqrt; lra).
    specialize (H s Hs). replace (K / s) with (2 * s) in H; [lra|]. replace K with (2 * (s * s)) by lra. field. lra.
  - rewrite <- HK in *. replace (0 / 2) with 0 by field. rewrite sqrt_0. apply Rnot_lt_le. intros Hlt.
    set (a := E d (fun u => Rabs (q u - 1))) in *. specialize (H (a / 2) ltac:(lra)). unfold Rdiv in H at 2. lra.
Qed.

Lemma tv_pinsker_kl : TV d n p m <= sqrt (KL d n p m / 2).
Proof. apply pinsker_ratio; auto. Qed.

Lemma tv_bh_kl : TV d n p m <= sqrt (1 - exp (- KL d n p m)).
Proof.
  set (q := fun u => exp (/ 2 * ln (r u))).
  assert (Tq : tame d q) by (apply tame_exp, lip_scal, lip_ln_mix; auto).
  assert (Qq : forall u, q u * q u = r u). { intros u. unfold q. rewrite <- exp_plus. replace (/ 2 * ln (r u) + / 2 * ln (r u)) with (ln (r u)) by field. apply exp_ln; auto. }
  assert (Pq : forall u, 0 < q u) by (intros; apply exp_pos).
  set (a := E d q).
  assert (Ha : exp (- KL d n p m / 2) <= a).
  { set (c := - KL d n p m / 2).
    apply Rle_trans with (E d (fun u => exp c * ((1 - c) * r u - / 2 * (r u * ln (r u))))).
    - right. rewrite E_scal, E_minus, !E_scal, Er; auto; try (apply tame_scal; auto); [|apply tame_minus; apply tame_scal; auto].
      change (E d (fun u => r u * ln (r u))) with (KL d n p m). replace (KL d n p m) with (-2 * c) by (unfold c; field). field.
    - apply E_le; auto; [apply tame_scal, tame_minus; apply tame_scal; auto|]. intros u.
      (* q = r exp(-ln r/2) >= r exp(c) (1 - ln r/2 - c) *)
      assert (q u = r u * exp (- / 2 * ln (r u))).
      { unfold q. rewrite <- (exp_ln (r u)) at 2 by auto. rewrite <- exp_plus. f_equal. field. }
      rewrite H. replace (exp (- / 2 * ln (r u))) with (exp c * exp (- / 2 * ln (r u) - c)) by (rewrite <- exp_plus; f_equal; ring).
      pose proof (exp_ge (- / 2 * ln (r u) - c)). pose proof (exp_pos c). pose proof (Pr u).
      replace (exp c * ((1 - c) * r u - / 2 * (r u * ln (r u)))) with (r u * (exp c * (1 + (- / 2 * ln (r u) - c)))) by ring.
      apply Rmult_le_compat_l; [lra|]. apply Rmult_le_compat_l; lra. }
  assert (Tq2 : tame d (fun u => q u * q u)) by (apply tame_mult; auto).
  assert (Eq2 : E d (fun u => q u * q u) = 1) by (rewrite <- Er; apply E_ext; auto).
  assert (Ha1 : a <= 1).
  { assert (0 <= 2 - 2 * a); [|lra]. replace (2 - 2 * a) with (E d (fun u => q u * q u + 1 - 2 * q u)).
    - rewrite <- (E_const d 0). apply E_le; [apply tame_const|apply tame_minus; [apply tame_plus; auto; apply tame_const|apply tame_scal; auto]|].
      intros u. assert (0 <= (q u - 1) ^ 2) by apply pow2_ge_0. lra.
    - rewrite E_minus, E_plus, E_scal, E_const, Eq2; try tm. fold a. ring. }
  assert (Ha0 : 0 < a) by (eapply Rlt_le_trans; [apply exp_pos|exact Ha]).
  assert (H : forall s, 0 < s -> E d (fun u => Rabs (r u - 1)) <= (s * (2 + 2 * a) + (2 - 2 * a) / s) / 2).
  { intros s Hs. apply Rle_trans with (E d (fun u => (s / 2 + / (2 * s)) * (q u * q u + 1) + (s - / s) * q u)).
    - apply E_le; [apply tame_dev|apply tame_plus; apply tame_scal; auto; apply tame_plus; auto; apply tame_const|].
      intros u. rewrite <- Qq. replace (q u * q u - 1) with ((q u + 1) * (q u - 1)) by ring. rewrite Rabs_mult.
      rewrite (Rabs_right (q u + 1)) by (pose proof (Pq u); lra). set (x := Rabs (q u - 1)).
      assert (x * x = (q u - 1) * (q u - 1)) by (unfold x; rewrite <- Rabs_mult; apply Rabs_right, Rle_ge, Rle_0_sqr).
      assert (0 <= (s * (q u + 1) - x) ^ 2) by apply pow2_ge_0.
      apply Rmult_le_reg_r with (2 * s); [lra|].
      replace (((s / 2 + / (2 * s)) * (q u * q u + 1) + (s - / s) * q u) * (2 * s))
        with (s * s * ((q u + 1) * (q u + 1)) + (q u - 1) * (q u - 1)) by (field; lra). nra.
    - right. rewrite E_plus, !E_scal, E_plus, Eq2, E_const; auto; try apply tame_const; try (apply tame_scal; auto).
      + fold a. field. lra.
      + apply tame_plus; auto; apply tame_const.
      + apply tame_plus; auto; apply tame_const. }
  assert (Tv : TV d n p m <= sqrt (1 - a * a)).
  { unfold TV. destruct (Req_dec a 1) as [E1'|Hne].
    - rewrite E1' in *. replace (1 - 1 * 1) with 0 by ring. rewrite sqrt_0. apply Rnot_lt_le. intros Hlt.
      set (b := E d (fun u => Rabs (r u - 1))) in *. specialize (H (b / 4) ltac:(lra)). unfold Rdiv in H at 2. lra.
    - assert (Hq : 0 < (1 - a) / (1 + a)) by (apply Rdiv_lt_0_compat; lra). set (s := sqrt ((1 - a) / (1 + a))).
      assert (Hs : 0 < s) by (apply sqrt_lt_R0; auto). assert (Es : s * s = (1 - a) / (1 + a)) by (apply sqrt_sqrt; lra).
      assert (Ey : s * (1 + a) = sqrt (1 - a * a)).
      { apply Rsqr_inj; [apply Rmult_le_pos; lra|apply sqrt_pos|]. rewrite Rsqr_sqrt by nra. unfold Rsqr.
        replace (s * (1 + a) * (s * (1 + a))) with (s * s * ((1 + a) * (1 + a))) by ring. rewrite Es. field. lra. }
      specialize (H s Hs). replace ((2 - 2 * a) / s) with (2 * (s * (1 + a))) in H.
      2:{ replace (2 - 2 * a) with (2 * (s * s * (1 + a))) by (rewrite Es; field; lra). field. lra. }
      rewrite <- Ey. lra. }
  eapply Rle_trans; [exact Tv|]. apply sqrt_le_1_alt.
  replace (exp (- KL d n p m)) with (exp (- KL d n p m / 2) * exp (- KL d n p m / 2)) by (rewrite <- exp_plus; f_equal; field).
  pose proof (exp_pos (- KL d n p m / 2)). nra.
Qed.

(** *** KL to other Gaussians *)

(** E_P of a tame log density ratio splits off. *)
Lemma kl_to_split l : tame d l -> KL_to d n p m l = KL d n p m - E d (fun u => r u * l u).
Proof.
  intros Hl. unfold KL_to, KL. rewrite <- E_minus by (auto; apply tame_mult; auto). apply E_ext. intros; ring.
Qed.

Lemma E_mix_dot a : E d (fun u => r u * dot d a u) = sumn n (fun i => p i * dot d (m i) a).
Proof. rewrite E_mix by apply tame_dot. apply sumn_ext. intros i _. rewrite E_ratio_dot. auto. Qed.

Lemma E_mix_quad S : E d (fun u => r u * quad d S u) = sumn n (fun i => p i * sumn d (fun k => S k * (1 + m i k ^ 2))).
Proof. rewrite E_mix by apply tame_quad. apply sumn_ext. intros i _. rewrite E_ratio_quad. auto. Qed.

End Shifts.
End Law.
