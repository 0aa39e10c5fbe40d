(** D. The end t = 0: the data's own singularity.

    Finite laws in any dimension. [margin] compares a rival's squared distance with that of the chosen point. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space Mixture Divergence Formulas A B B_pairs E F Posterior.
Local Open Scope R_scope.

Lemma tie_nearest_weight o : Formulas.nearest_weight o = 1 / (1 + o).
Proof. unfold Formulas.nearest_weight, Rdiv. rewrite Rmult_1_l. f_equal. ring. Qed.
Lemma tie_rival_weight r m s : s <> 0 -> Formulas.rival_weight r m s = r * exp (- m / (2 * s ^ 2)).
Proof.
  intros Hs. unfold Formulas.rival_weight. replace (- m / (2 * s ^ 2)) with (- (m / (2 * s ^ 2))) by (field; auto). rewrite exp_Ropp. auto.
Qed.
Lemma tie_tie_exponent a s q : s <> 0 -> Formulas.tie_exponent a s q = a * (1 - a) / (2 * s ^ 2) * q.
Proof. intros Hs. unfold Formulas.tie_exponent. field. auto. Qed.
Lemma tie_vp_tie_ratio r q : Formulas.vp_tie_ratio r q = r * exp (q / 4).
Proof. reflexivity. Qed.
Lemma tie_kl_atoms_lower g l : Formulas.kl_atoms_lower g l = ln (1 + g * l) / 2.
Proof. unfold Formulas.kl_atoms_lower. do 2 f_equal. ring. Qed.
Lemma tie_epsilon_norm2 d g m : Formulas.epsilon_norm2 d g m = d - g * m.
Proof. unfold Formulas.epsilon_norm2. ring. Qed.
Lemma tie_normal_score n f a s : Formulas.normal_score n f a s = - (n - a * f) / s ^ 2.
Proof. unfold Formulas.normal_score. f_equal. ring. Qed.
Lemma tie_vp_foot_score f : Formulas.vp_foot_score f = - f / 2.
Proof. unfold Formulas.vp_foot_score. f_equal. ring. Qed.
Lemma tie_atom_epsilon_rate x y a s a' s' : s <> 0 -> Formulas.atom_epsilon_rate x y a s a' s' = - s' * (x - a * y) / s ^ 2 - a' * y / s.
Proof. intros Hs. unfold Formulas.atom_epsilon_rate. field. auto. Qed.
Lemma tie_vp_atom_epsilon_rate y s' : Formulas.vp_atom_epsilon_rate y s' = / 2 * s' * y.
Proof. unfold Formulas.vp_atom_epsilon_rate. field. Qed.
Lemma tie_sde_diffusion2 a s a' s' : Formulas.sde_diffusion2 a s a' s' = 2 * s * s' - 2 * s ^ 2 * (a' / a).
Proof. unfold Formulas.sde_diffusion2, Rdiv. ring. Qed.
Lemma tie_reverse_drift x sc f g2 : Formulas.reverse_drift x sc f g2 = f * x - g2 * sc.
Proof. unfold Formulas.reverse_drift. ring. Qed.
Lemma tie_reverse_rate_integral gt gs : Formulas.reverse_rate_integral gt gs = ln (gs / gt).
Proof. reflexivity. Qed.
Lemma tie_flow_deviation q st ss : Formulas.flow_deviation q st ss = ss / st * q.
Proof. unfold Formulas.flow_deviation, Rdiv. ring. Qed.

Section Atoms.
Variables (d n : nat) (w : nat -> R) (y : nat -> vec).
Hypothesis Hw : weights n w.
Let Hp := proj1 Hw.

(** ** D1. The nearest point *)

Definition margin (a : R) (x : vec) (i j : nat) : R := dist2 d x (vscal a (y j)) - dist2 d x (vscal a (y i)).
Definition rival (a s : R) (x : vec) (i j : nat) : R := Formulas.rival_weight (w j / w i) (margin a x i j) s.
(** The mass of all rivals of [i] *)
Definition rivals (a s : R) (x : vec) (i : nat) : R := sumn n (fun j => if Nat.eqb j i then 0 else rival a s x i j).

Lemma rival_logit a s x i j : s <> 0 -> w i <> 0 ->
  rival a s x i j = w j * exp (logit d a s x (y j)) / (w i * exp (logit d a s x (y i))).
Proof.
  intros Hs Hi. unfold rival. rewrite tie_rival_weight by auto.
  replace (- margin a x i j / (2 * s ^ 2)) with (logit d a s x (y j) - logit d a s x (y i)).
  - unfold Rminus. rewrite exp_plus, exp_Ropp. field. split; auto. apply Rgt_not_eq, exp_pos.
  - unfold margin, dist2, logit. rewrite !sq_minus, !sq_scal, !dot_scal_r. field. auto.
Qed.

Lemma mass_split a s x i : s <> 0 -> w i <> 0 -> (i < n)%nat ->
  sumn n (fun j => w j * exp (logit d a s x (y j))) = w i * exp (logit d a s x (y i)) * (1 + rivals a s x i).
Proof.
  intros Hs Hi Hin. set (A := w i * exp (logit d a s x (y i))).
  assert (HA : A = sumn n (fun j => if Nat.eqb j i then w j * exp (logit d a s x (y j)) else 0)).
  { symmetry. apply (sumn_single n i (fun j => w j * exp (logit d a s x (y j)))). auto. }
  assert (HA0 : A <> 0) by (apply Rmult_integral_contrapositive; split; auto; apply Rgt_not_eq, exp_pos).
  unfold rivals. rewrite Rmult_plus_distr_l, Rmult_1_r, <- sumn_scal. rewrite HA at 1. rewrite <- sumn_plus. apply sumn_ext. intros j _.
  destruct (PeanoNat.Nat.eqb_spec j i) as [->|]; [ring|]. rewrite rival_logit by auto. fold A. field. auto.
Qed.

Theorem D1_weight a s x i : s <> 0 -> w i <> 0 -> (i < n)%nat ->
  bayes d n w y a s x i = Formulas.nearest_weight (rivals a s x i).
Proof.
  intros Hs Hi Hin. rewrite bayes_logit, (mass_split a s x i), tie_nearest_weight by auto.
  pose proof (logit_sum_pos d n w y a s x Hw) as P. rewrite (mass_split a s x i) in P by auto.
  field. split; [|split; auto; apply Rgt_not_eq, exp_pos]. intros Z. rewrite Z, Rmult_0_r in P. lra.
Qed.

(** Every other point weighs at most its rival's weight, so the denoiser is near the chosen point. *)
Theorem D1_denoiser a s x i : s <> 0 -> 0 < w i -> (i < n)%nat ->
  vnorm d (vminus (denoiser d n w y a s x) (y i)) <= sumn n (fun j => (if Nat.eqb j i then 0 else rival a s x i j) * vnorm d (vminus (y j) (y i))).
Proof.
  intros Hs Hi Hin. destruct (bayes_weights d n w y a s x Hw Hs) as [B0 B1].
  rewrite (norm_ext d _ (vsum n (fun j => vscal (bayes d n w y a s x j) (vminus (y j) (y i))))).
  - eapply Rle_trans; [apply norm_sum|]. apply sumn_le. intros j Hj. rewrite norm_scal, Rabs_right by (apply Rle_ge; auto).
    destruct (PeanoNat.Nat.eqb_spec j i) as [->|Hne].
    + rewrite norm_zero; [lra|]. intros; unfold vminus; ring.
    + apply Rmult_le_compat_r; [apply norm_nonneg|]. rewrite bayes_logit, (mass_split a s x i) by (auto; lra). rewrite rival_logit by (auto; lra).
      assert (0 < w i * exp (logit d a s x (y i))) by (apply Rmult_lt_0_compat; auto; apply exp_pos).
      assert (0 <= w j * exp (logit d a s x (y j))) by (apply Rmult_le_pos; auto; left; apply exp_pos).
      assert (0 <= rivals a s x i).
      { apply sumn_nonneg. intros k Hk. destruct (Nat.eqb k i); [lra|]. rewrite rival_logit by (auto; lra).
        apply Rdiv_le_0_compat; auto. apply Rmult_le_pos; auto. left; apply exp_pos. }
      set (A := w i * exp (logit d a s x (y i))) in *. set (Bj := w j * exp (logit d a s x (y j))) in *.
      apply Rmult_le_reg_r with (A * (1 + rivals a s x i)); [apply Rmult_lt_0_compat; lra|].
      replace (Bj / (A * (1 + rivals a s x i)) * (A * (1 + rivals a s x i))) with Bj by (field; lra).
      replace (Bj / A * (A * (1 + rivals a s x i))) with (Bj * (1 + rivals a s x i)) by (field; lra). nra.
  - intros k _. unfold denoiser, vsum, vminus, vscal.
    rewrite (sumn_ext n (fun j => bayes d n w y a s x j * (y j k - y i k)) (fun j => bayes d n w y a s x j * y j k - bayes d n w y a s x j * y i k)) by (intros; ring).
    rewrite sumn_minus, sumn_scal_r, B1. ring.
Qed.

Section To_the_data.
(** Any path to the data: alpha to 1, sigma to 0 *)
Context {T : Type} (F : (T -> Prop) -> Prop) {FF : Filter F}.
Variables (al si : T -> R) (x : vec) (i : nat).
Hypothesis Hal : filterlim al F (locally 1).
Hypothesis Hsi : filterlim si F (locally 0).
Hypothesis Hsi0 : F (fun t => si t <> 0).
Hypothesis Hin : (i < n)%nat.
Hypothesis Hi : 0 < w i.

Lemma margin_limit j : filterlim (fun t => margin (al t) x i j) F (locally (dist2 d x (y j) - dist2 d x (y i))).
Proof.
  apply (flim_eq F (fun t => (sq d x - 2 * (al t * dot d x (y j)) + al t * al t * sq d (y j)) - (sq d x - 2 * (al t * dot d x (y i)) + al t * al t * sq d (y i))) _
    ((sq d x - 2 * (1 * dot d x (y j)) + 1 * 1 * sq d (y j)) - (sq d x - 2 * (1 * dot d x (y i)) + 1 * 1 * sq d (y i)))).
  - apply filter_forall. intros t. unfold margin, dist2. rewrite !sq_minus, !sq_scal, !dot_scal_r. auto.
  - unfold dist2. rewrite !sq_minus. ring.
  - flim.
Qed.

(** A rival that is farther away vanishes. *)
Theorem D1_rival_vanishes j : dist2 d x (y i) < dist2 d x (y j) -> filterlim (fun t => rival (al t) (si t) x i j) F (locally 0).
Proof.
  intros Hd. set (m := dist2 d x (y j) - dist2 d x (y i)). assert (Hm : 0 < m) by (unfold m; lra).
  (* exp(-z) <= 1/z, with z = margin / 2 sigma^2 >= m / 4 sigma^2 *)
  assert (Near : F (fun t => Rabs (margin (al t) x i j - m) < m / 2)) by (apply flim_near; [apply margin_limit|lra]).
  assert (L : filterlim (fun t => Rabs (w j / w i) * (4 * si t ^ 2 / m)) F (locally 0)).
  { apply (flim_eq F (fun t => Rabs (w j / w i) * (4 * si t ^ 2 / m)) _ (Rabs (w j / w i) * (4 * 0 ^ 2 / m))); [apply filter_forall; auto|field; lra|flim; lra]. }
  intros P [eps HP]. assert (Ne := flim_near F _ _ _ L (cond_pos eps)).
  unfold filtermap. apply (filter_imp (fun t => (Rabs (margin (al t) x i j - m) < m / 2 /\ si t <> 0) /\ Rabs (Rabs (w j / w i) * (4 * si t ^ 2 / m) - 0) < eps));
    [|repeat apply filter_and; auto].
  intros t [[H1 H2] H3]. apply HP. change (Rabs (rival (al t) (si t) x i j - 0) < eps). rewrite Rminus_0_r in *.
  eapply Rle_lt_trans; [|exact H3]. eapply Rle_trans; [|apply Rle_abs]. unfold rival. rewrite tie_rival_weight by auto. rewrite Rabs_mult.
  apply Rmult_le_compat_l; [apply Rabs_pos|]. rewrite Rabs_right by (left; apply exp_pos).
  apply Rabs_lt_between in H1. assert (Hs2 : 0 < si t ^ 2) by (apply pow2_gt_0; auto).
  set (z := m / (4 * si t ^ 2)). assert (Hz : 0 < z) by (apply Rdiv_lt_0_compat; lra).
  replace (4 * si t ^ 2 / m) with (/ z) by (unfold z; field; lra).
  apply Rle_trans with (exp (- z)).
  - apply exp_le_mono. unfold z. apply Rmult_le_reg_r with (4 * si t ^ 2); [lra|].
    replace (- margin (al t) x i j / (2 * si t ^ 2) * (4 * si t ^ 2)) with (- 2 * margin (al t) x i j) by (field; lra).
    replace (- (m / (4 * si t ^ 2)) * (4 * si t ^ 2)) with (- m) by (field; lra). lra.
  - rewrite exp_Ropp. apply Rinv_le_contravar; auto. pose proof (exp_ge z). lra.
Qed.

(** Where the nearest point is unique the denoiser becomes it. *)
Theorem D1_nearest : (forall j, (j < n)%nat -> j <> i -> dist2 d x (y i) < dist2 d x (y j)) ->
  filterlim (fun t => vnorm d (vminus (denoiser d n w y (al t) (si t) x) (y i))) F (locally 0).
Proof.
  intros H. assert (L : filterlim (fun t => sumn n (fun j => (if Nat.eqb j i then 0 else rival (al t) (si t) x i j) * vnorm d (vminus (y j) (y i)))) F (locally 0)).
  { apply (flim_eq F (fun t => sumn n (fun j => (if Nat.eqb j i then 0 else rival (al t) (si t) x i j) * vnorm d (vminus (y j) (y i)))) _
      (sumn n (fun j => 0 * vnorm d (vminus (y j) (y i))))); [apply filter_forall; auto|apply sumn_zero; intros; ring|].
    apply (flim_sum F n (fun j t => (if Nat.eqb j i then 0 else rival (al t) (si t) x i j) * vnorm d (vminus (y j) (y i)))).
    intros j Hj. apply (flim_mult F (fun t => if Nat.eqb j i then 0 else rival (al t) (si t) x i j)); [|apply (flim_const F)].
    destruct (PeanoNat.Nat.eqb_spec j i); [apply (flim_const F)|]. apply D1_rival_vanishes; auto. }
  intros P [eps HP]. assert (N := flim_near F _ _ _ L (cond_pos eps)). unfold filtermap.
  apply (filter_imp (fun t => Rabs (sumn n (fun j => (if Nat.eqb j i then 0 else rival (al t) (si t) x i j) * vnorm d (vminus (y j) (y i))) - 0) < eps /\ si t <> 0));
    [|apply filter_and; auto].
  intros t [H1 H2]. apply HP. change (Rabs (vnorm d (vminus (denoiser d n w y (al t) (si t) x) (y i)) - 0) < eps).
  rewrite Rminus_0_r in *. rewrite Rabs_right by (apply Rle_ge, norm_nonneg).
  eapply Rle_lt_trans; [apply (D1_denoiser (al t) (si t) x i); auto|]. eapply Rle_lt_trans; [apply Rle_abs|exact H1].
Qed.
End To_the_data.

(** At a tie: along [x_t = alpha x] tied points keep the ratio of their priors, … *)
Theorem D1_tie_scaled a s x i j : s <> 0 -> dist2 d x (y i) = dist2 d x (y j) -> rival a s (vscal a x) i j = w j / w i.
Proof.
  intros Hs H. unfold rival. rewrite tie_rival_weight by auto. replace (margin a (vscal a x) i j) with 0.
  - rewrite exp_zero; [ring|field; auto].
  - unfold margin. assert (E : forall k, dist2 d (vscal a x) (vscal a (y k)) = a * a * dist2 d x (y k)).
    { intros k. unfold dist2. rewrite <- sq_scal. unfold sq, dot. apply sumn_ext. intros; unfold vminus, vscal; ring. }
    rewrite !E, H. ring.
Qed.

(** … at fixed x they gain [alpha (1 - alpha)/(2 sigma^2) (|y_j|^2 - |y_i|^2)]: *)
Theorem D1_tie_fixed a s x i j : s <> 0 -> dist2 d x (y i) = dist2 d x (y j) ->
  rival a s x i j = w j / w i * exp (Formulas.tie_exponent a s (sq d (y j) - sq d (y i))).
Proof.
  intros Hs H. unfold rival. rewrite tie_rival_weight, tie_tie_exponent by auto. do 2 f_equal.
  unfold dist2 in H. rewrite !sq_minus in H. unfold margin, dist2. rewrite !sq_minus, !sq_scal, !dot_scal_r.
  assert (K : 2 * dot d x (y j) = 2 * dot d x (y i) + (sq d (y j) - sq d (y i))) by lra.
  replace (sq d x - 2 * (a * dot d x (y j)) + a * a * sq d (y j) - (sq d x - 2 * (a * dot d x (y i)) + a * a * sq d (y i)))
    with (- a * (2 * dot d x (y j)) + a * (2 * dot d x (y i)) + a * a * (sq d (y j) - sq d (y i))) by ring.
  rewrite K. field. auto.
Qed.
End Atoms.

(** … a finite factor in VP, *)
Theorem D1_tie_vp {T : Type} (F : (T -> Prop) -> Prop) {FF : Filter F} (al si : T -> R) q r :
  filterlim al F (locally 1) -> F (fun t => si t <> 0 /\ al t ^ 2 + si t ^ 2 = 1 /\ al t <> 1) ->
  filterlim (fun t => r * exp (Formulas.tie_exponent (al t) (si t) q)) F (locally (Formulas.vp_tie_ratio r q)).
Proof.
  intros Hal H. rewrite tie_vp_tie_ratio.
  apply (flim_eq F (fun t => r * exp (al t / (2 * (1 + al t)) * q)) _ (r * exp (1 / (2 * (1 + 1)) * q))).
  - assert (N := flim_near F _ _ _ Hal Rlt_0_1).
    apply (filter_imp (fun t => (si t <> 0 /\ al t ^ 2 + si t ^ 2 = 1 /\ al t <> 1) /\ Rabs (al t - 1) < 1)); [|apply filter_and; auto].
    intros t ((Hs & Hv & Ha) & Hn). apply Rabs_lt_between in Hn. rewrite tie_tie_exponent by auto.
    replace (si t ^ 2) with ((1 - al t) * (1 + al t)) by (simpl in *; lra). do 3 f_equal. field. split; lra.
  - do 2 f_equal. field.
  - flim. lra.
Qed.

(** … and an infinite one on rectified flow: the point farther from the origin takes all. *)
Theorem D1_tie_flow q M : 0 < q -> at_right 0 (fun t => M < Formulas.tie_exponent (1 - t) t q).
Proof.
  intros Hq. set (e := Rmin (1 / 2) (q / (4 * (Rabs M + 1)))). pose proof (Rabs_pos M).
  assert (He : 0 < e) by (apply Rmin_pos; [lra|apply Rdiv_lt_0_compat; lra]).
  exists (mkposreal e He). intros t Ht Ht0. change (Rabs (t - 0) < e) in Ht. rewrite Rminus_0_r, Rabs_right in Ht by lra.
  assert (H1 : t < 1 / 2) by (eapply Rlt_le_trans; [exact Ht|apply Rmin_l]).
  assert (H2 : t < q / (4 * (Rabs M + 1))) by (eapply Rlt_le_trans; [exact Ht|apply Rmin_r]).
  rewrite tie_tie_exponent by lra. replace ((1 - t) * (1 - (1 - t)) / (2 * t ^ 2) * q) with ((1 - t) * q / (2 * t)) by (field; lra).
  apply Rmult_lt_reg_r with (2 * t); [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. rewrite Rmult_1_r.
  assert (t * (4 * (Rabs M + 1)) < q). { apply Rmult_lt_compat_r with (r := 4 * (Rabs M + 1)) in H2; [|lra]. unfold Rdiv in H2. rewrite Rmult_assoc, Rinv_l in H2; lra. }
  pose proof (Rle_abs M). assert (M * (2 * t) <= Rabs M * (2 * t)) by (apply Rmult_le_compat_r; lra). nra.
Qed.

(** ** D3. Inherent, yet harmless *)

(** The second law is one point [z]: every coupling [pi] of it with the finite law costs the same, and at the posterior mean this is tr C. *)
Theorem D3_w2_point d n p y (z : vec) (pi : nat -> nat -> R) : weights n p ->
  (forall i, (i < n)%nat -> sumn 1 (fun j => pi i j) = p i) ->
  sumn n (fun i => sumn 1 (fun j => pi i j * dist2 d (y i) z)) = sumn n (fun i => p i * dist2 d (y i) z).
Proof. intros Hw H. apply sumn_ext. intros i Hi. rewrite <- (H i Hi). simpl. ring. Qed.

Theorem D3_w2_trace d n p y : sumn n (fun i => p i * dist2 d (y i) (mean n p y)) = trC d n p y.
Proof. reflexivity. Qed.

(** On the way, for every finite law and gap: KL from the nearest Gaussian M is at least [1/2 log det(I + gC) - H(p)]. *)
Definition entropy (n : nat) (p : nat -> R) : R := - sumn n (fun i => p i * ln (p i)).

Theorem D3_lower d n p y g : weights n p -> 0 <= g ->
  sumn d (fun k => Formulas.kl_atoms_lower g (lam n p y k)) - entropy n p <= KL_to d n p (shift n p y g) (gauss_log d n p y g).
Proof.
  intros Hw Hg. pose proof (B9_lower d n p y g Hw Hg) as L. rewrite (B5_pythagoras d n p y g Hw Hg) in L.
  rewrite tie_kl_trace_bound in L. unfold kl_trace in L.
  assert (Hsplit : sumn d (fun k => Formulas.kl_gauss_term g (lam n p y k)) = g * trC d n p y / 2 - sumn d (fun k => Formulas.kl_atoms_lower g (lam n p y k))).
  { rewrite (trC_lam d n p y). unfold Rdiv. rewrite <- sumn_scal, <- sumn_scal_r, <- sumn_minus. apply sumn_ext. intros k _.
    rewrite tie_kl_gauss_term, tie_kl_atoms_lower. unfold kl_gauss. field. }
  assert (P : - entropy n p <= pairs d n p y g 2).
  { unfold entropy, pairs. rewrite Ropp_involutive. apply sumn_le. intros i Hi. destruct (proj1 Hw i Hi) as [Hpi|Hpi]; [|rewrite <- Hpi; lra].
    apply Rmult_le_compat_l; [lra|]. apply ln_le_mono; auto.
    assert (T := sumn_term n (fun j => p j * exp (- (g * dist2 d (y i) (y j) / 2))) i). cbv beta in T.
    rewrite (exp_zero (- (g * dist2 d (y i) (y i) / 2))) in T.
    - rewrite Rmult_1_r in T. apply T; auto. intros j Hj. apply Rmult_le_pos; [apply Hw; auto|left; apply exp_pos].
    - unfold dist2. replace (sq d (vminus (y i) (y i))) with 0; [field|]. unfold sq, dot. symmetry. apply sumn_zero. intros; unfold vminus; ring. }
  lra.
Qed.

(** It passes every level if C is not 0. *)
Theorem D3_divergence d n p y M : weights n p -> (exists k, (k < d)%nat /\ 0 < lam n p y k) ->
  exists g0, forall g, g0 <= g -> M < KL_to d n p (shift n p y g) (gauss_log d n p y g).
Proof.
  intros Hw (k & Hk & Hl). set (B := 2 * (M + 1 + Rabs (entropy n p))).
  exists (Rmax 0 ((exp B - 1) / lam n p y k)). intros g Hg.
  assert (Hg0 : 0 <= g) by (eapply Rle_trans; [apply Rmax_l|exact Hg]).
  assert (Hg1 : (exp B - 1) / lam n p y k <= g) by (eapply Rle_trans; [apply Rmax_r|exact Hg]).
  pose proof (D3_lower d n p y g Hw Hg0) as L. pose proof (Rle_abs (entropy n p)).
  assert (Hterm : Formulas.kl_atoms_lower g (lam n p y k) <= sumn d (fun k => Formulas.kl_atoms_lower g (lam n p y k))).
  { apply (sumn_term d (fun k => Formulas.kl_atoms_lower g (lam n p y k))); auto. intros j _. rewrite tie_kl_atoms_lower.
    assert (0 <= g * lam n p y j) by (apply Rmult_le_pos; auto; apply (lam_nonneg n p y Hw)).
    assert (0 <= ln (1 + g * lam n p y j)); [|lra]. rewrite <- ln_1. apply ln_le_mono; lra. }
  rewrite tie_kl_atoms_lower in Hterm at 1.
  assert (exp B <= 1 + g * lam n p y k).
  { apply Rmult_le_compat_r with (r := lam n p y k) in Hg1; [|lra]. unfold Rdiv in Hg1. rewrite Rmult_assoc, Rinv_l in Hg1; lra. }
  apply ln_le_mono in H0; [|apply exp_pos]. rewrite ln_exp in H0. unfold B in H0. lra.
Qed.

(** ** D4. A subspace: where all data have the coordinate [f], the score along it is that of a Gaussian *)

(** The logarithm of the density of x_t along coordinate k *)
Definition log_density d n w (y : nat -> vec) a s (x : vec) (k : nat) (h : R) : R :=
  ln (sumn n (fun i => w i * dens d (vscal a (y i)) (s ^ 2) (vplus x (unit k h)))).

(** Tweedie's formula, for every finite law: the score is [(alpha xhat - x)/sigma^2]. *)
Theorem D2_score d n w y a s x k : weights n w -> 0 < s -> (k < d)%nat ->
  is_derive (log_density d n w y a s x k) 0 ((a * denoiser d n w y a s x k - x k) / s ^ 2).
Proof.
  intros Hw Hs Hk. assert (Hs2 : 0 < s ^ 2) by (apply pow_lt; auto).
  set (c := fun i => w i * dens d (vscal a (y i)) (s ^ 2) x). set (b := fun i => - (x k - a * y i k) / s ^ 2).
  assert (Q : forall h, sumn n (fun i => w i * dens d (vscal a (y i)) (s ^ 2) (vplus x (unit k h))) = sumn n (fun i => c i * exp (b i * h - h ^ 2 / (2 * s ^ 2)))).
  { intros h. apply sumn_ext. intros i _. unfold c, b, dens.
    replace (- sq d (vminus (vplus x (unit k h)) (vscal a (y i))) / (2 * s ^ 2))
      with (- sq d (vminus x (vscal a (y i))) / (2 * s ^ 2) + (- (x k - a * y i k) / s ^ 2 * h - h ^ 2 / (2 * s ^ 2))).
    - rewrite exp_plus. unfold Rdiv. ring.
    - assert (X : sq d (vminus (vplus x (unit k h)) (vscal a (y i))) = sq d (vplus (vminus x (vscal a (y i))) (unit k h))).
      { apply sq_ext. intros j _. unfold vminus, vplus, vscal. ring. }
      rewrite X, sq_plus. rewrite dot_unit by auto. unfold sq at 3. rewrite dot_unit by auto. unfold unit. rewrite PeanoNat.Nat.eqb_refl.
      unfold vminus, vscal. field. lra. }
  assert (Hc : forall i, (i < n)%nat -> 0 <= c i) by (intros; apply Rmult_le_pos; [apply Hw; auto|left; apply dens_pos; auto]).
  assert (HC : 0 < sumn n c).
  { apply sumn_pos; auto. destruct (sumn_some_pos n w (proj1 Hw)) as (j & Hj & Hwj); [rewrite (proj2 Hw); lra|]. exists j. split; auto.
    apply Rmult_lt_0_compat; auto. apply dens_pos; auto. }
  assert (D : forall m, is_derive (fun h => sumn m (fun i => c i * exp (b i * h - h ^ 2 / (2 * s ^ 2)))) 0 (sumn m (fun i => c i * b i))).
  { induction m; simpl; [auto_derive; auto|]. apply (is_derive_plus (V := R_NormedModule) (fun h => sumn m (fun i => c i * exp (b i * h - h ^ 2 / (2 * s ^ 2)))) (fun h => c m * exp (b m * h - h ^ 2 / (2 * s ^ 2)))); auto.
    auto_derive; auto. repeat match goal with |- context [exp ?z] => rewrite (exp_zero z) by (field; lra) end. field. lra. }
  unfold log_density. apply (is_derive_ext (fun h => ln (sumn n (fun i => c i * exp (b i * h - h ^ 2 / (2 * s ^ 2)))))).
  - intros h. rewrite Q. auto.
  - assert (S0 : sumn n (fun i => c i * exp (b i * 0 - 0 ^ 2 / (2 * s ^ 2))) = sumn n c).
    { apply sumn_ext. intros i _. rewrite exp_zero by (field; lra). ring. }
    evar_last.
    + apply (is_derive_comp ln (fun h => sumn n (fun i => c i * exp (b i * h - h ^ 2 / (2 * s ^ 2))))); [apply is_derive_Reals, derivable_pt_lim_ln; rewrite S0; auto|apply D].
    + rewrite S0. unfold scal; simpl; unfold mult; simpl.
      assert (Dn : denoiser d n w y a s x k = sumn n (fun i => c i * y i k) / sumn n c).
      { unfold denoiser, vsum, vscal, bayes, Rdiv. rewrite <- sumn_scal_r. apply sumn_ext. intros i _.
        change (c i * / sumn n c * y i k = c i * y i k * / sumn n c). ring. }
      rewrite Dn. unfold b. rewrite (sumn_ext n _ (fun i => / s ^ 2 * (a * (c i * y i k) - x k * c i))) by (intros; field; lra).
      rewrite sumn_scal, sumn_minus, !sumn_scal. field. split; lra.
Qed.

Theorem D4_normal d n w y a s x k f : weights n w -> 0 < s -> (k < d)%nat -> (forall i, (i < n)%nat -> y i k = f) ->
  is_derive (log_density d n w y a s x k) 0 (Formulas.normal_score (x k) f a s).
Proof.
  intros Hw Hs Hk Hf. rewrite tie_normal_score. replace (- (x k - a * f) / s ^ 2) with ((a * denoiser d n w y a s x k - x k) / s ^ 2).
  - apply D2_score; auto.
  - f_equal. replace (denoiser d n w y a s x k) with f; [ring|]. unfold denoiser, vsum, vscal.
    rewrite (sumn_ext n _ (fun i => bayes d n w y a s x i * f)) by (intros; rewrite Hf; auto).
    rewrite sumn_scal_r, (proj2 (bayes_weights d n w y a s x Hw ltac:(lra))). ring.
Qed.

(** On the subspace itself VP keeps it finite; rectified flow does not. *)
Theorem D4_foot_vp f : filterlim (fun s => Formulas.normal_score f f (sqrt (1 - s ^ 2)) s) (at_right 0) (locally (Formulas.vp_foot_score f)).
Proof.
  rewrite tie_vp_foot_score.
  apply (flim_eq (at_right 0) (fun s => - f / (1 + sqrt (1 - s ^ 2))) _ (- f / (1 + sqrt (1 - 0 ^ 2)))).
  - exists (mkposreal 1 Rlt_0_1). intros s Hs Hs0. change (Rabs (s - 0) < 1) in Hs. rewrite Rminus_0_r, Rabs_right in Hs by lra.
    rewrite tie_normal_score. assert (Hp : 0 < 1 - s ^ 2) by nra. assert (Q : sqrt (1 - s ^ 2) * sqrt (1 - s ^ 2) = 1 - s ^ 2) by (apply sqrt_sqrt; lra).
    pose proof (sqrt_pos (1 - s ^ 2)). set (q := sqrt (1 - s ^ 2)) in *. replace (s ^ 2) with ((1 - q) * (1 + q)) by lra.
    assert (1 - q <> 0) by (intros Z; assert (Eq : q = 1) by lra; rewrite Eq in Q; nra). assert (1 + q <> 0) by lra. field. auto.
  - replace (1 - 0 ^ 2) with 1 by ring. rewrite sqrt_1. field.
  - assert (L : filterlim (fun s : R => s) (at_right 0) (locally 0)) by (intros P [e HP]; exists e; intros z Hz _; apply HP; auto).
    flim; [|pose proof (sqrt_pos (1 - 0 ^ 2)); lra].
    apply (flim_comp (at_right 0) (fun s => 1 - s ^ 2) sqrt); [flim|apply continuous_sqrt].
Qed.

Theorem D4_foot_flow f t : t <> 0 -> Formulas.normal_score f f (1 - t) t = - f / t.
Proof. intros Ht. rewrite tie_normal_score. field. auto. Qed.
