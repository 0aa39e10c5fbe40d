(** C. The end t = 1: what is singular there and what is not.

    Limits are along any filter of times [F] on which alpha tends to 0 (and is not 0) and sigma to [s1 <> 0]: every schedule, from any side.
    Laws are finite, in any dimension; vectors are compared coordinate by coordinate ([k]). *)

From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Mixture Formulas A E F Posterior.
Local Open Scope R_scope.

(** ** The formulas that are run *)

Lemma tie_denoiser_series mu sp a s : Formulas.denoiser_series mu sp a s = mu + a / s ^ 2 * sp.
Proof. unfold Formulas.denoiser_series, Rdiv. ring. Qed.
Lemma tie_terminal_epsilon x s : Formulas.terminal_epsilon x s = x / s.
Proof. reflexivity. Qed.
Lemma tie_terminal_v mu s : Formulas.terminal_v mu s = - s * mu.
Proof. unfold Formulas.terminal_v. ring. Qed.
Lemma tie_denoiser_of_epsilon e x a s : Formulas.denoiser_of_epsilon e x a s = (x - s * e) / a.
Proof. unfold Formulas.denoiser_of_epsilon. f_equal. ring. Qed.
Lemma tie_denoiser_of_v v x a s : Formulas.denoiser_of_v v x a s = (a * x - s * v) / (a ^ 2 + s ^ 2).
Proof. unfold Formulas.denoiser_of_v. f_equal. ring. Qed.
Lemma tie_epsilon_error_gain a s : Formulas.epsilon_error_gain a s = - s / a.
Proof. unfold Formulas.epsilon_error_gain. f_equal. ring. Qed.
Lemma tie_v_error_gain a s : Formulas.v_error_gain a s = - s / (a ^ 2 + s ^ 2).
Proof. unfold Formulas.v_error_gain. f_equal. ring. Qed.
Lemma tie_v_of e m a s : Formulas.v_of e m a s = a * e - s * m.
Proof. unfold Formulas.v_of. ring. Qed.
Lemma tie_ode_drift a' s' m e : Formulas.ode_drift a' s' m e = a' * m + s' * e.
Proof. unfold Formulas.ode_drift. ring. Qed.
Lemma tie_vp_ode_drift x m a s a' : Formulas.vp_ode_drift x m a s a' = a' * (m - a * x) / s ^ 2.
Proof. unfold Formulas.vp_ode_drift. f_equal. ring. Qed.
Lemma tie_terminal_drift a' s' mu x s : Formulas.terminal_drift a' s' mu x s = a' * mu + s' * (x / s).
Proof. unfold Formulas.terminal_drift, Rdiv. ring. Qed.
Lemma tie_drift_exponent p : Formulas.drift_exponent p = p - 1.
Proof. unfold Formulas.drift_exponent. ring. Qed.
Lemma tie_centred_drift_exponent p : Formulas.centred_drift_exponent p = 2 * p - 1.
Proof. unfold Formulas.centred_drift_exponent. ring. Qed.
Lemma tie_sde_rate a a' : Formulas.sde_rate a a' = a' / a.
Proof. reflexivity. Qed.
Lemma tie_vp_sde_diffusion2 a a' : Formulas.vp_sde_diffusion2 a a' = - 2 * a' / a.
Proof. unfold Formulas.vp_sde_diffusion2. f_equal. ring. Qed.
Lemma tie_sde_rate_integral a b : Formulas.sde_rate_integral a b = ln (a / b).
Proof. reflexivity. Qed.

Section Paths.
Context {T : Type} (F : (T -> Prop) -> Prop) {FF : Filter F}.
Variables (d n : nat) (w : nat -> R) (y : nat -> vec) (x : vec) (al si : T -> R) (s1 : R).
Hypothesis Hw : weights n w.
Hypothesis Hal : filterlim al F (locally 0).
Hypothesis Hal0 : F (fun t => al t <> 0).
Hypothesis Hsi : filterlim si F (locally s1).
Hypothesis Hs1 : s1 <> 0.
Hypothesis Hsi0 : F (fun t => si t <> 0).
Notation mu := (mean_of n w y).
Notation hat t := (denoiser d n w y (al t) (si t) x).

(** ** C1. The denoiser near t = 1 *)

(** The error of the series [mu + (alpha/sigma^2) Sigma x] is o(alpha). *)
Theorem C1_series k :
  filterlim (fun t => (hat t k - Formulas.denoiser_series (mu k) (cov_times d n w y x k) (al t) (si t)) / al t) F (locally 0).
Proof.
  apply (flim_eq F (fun t => (hat t k - mu k) / al t - cov_times d n w y x k / si t ^ 2) _
    (cov_times d n w y x k / s1 ^ 2 - cov_times d n w y x k / s1 ^ 2)).
  - apply (filter_imp (fun t => si t <> 0 /\ al t <> 0)); [|apply filter_and; auto]. intros t [Hs Ha]. rewrite tie_denoiser_series. field. auto.
  - ring.
  - apply (flim_minus F); [apply denoiser_slope; auto|]. flim. apply pow_nonzero; auto.
Qed.

(** ** C2. Three predictions at t = 1 *)

Notation eps t k := (eps_of (x k) (hat t k) (al t) (si t)).

Theorem C2_epsilon_limit k : filterlim (fun t => eps t k) F (locally (Formulas.terminal_epsilon (x k) s1)).
Proof.
  rewrite tie_terminal_epsilon. apply (flim_eq F (fun t => (x k - al t * hat t k) / si t) _ ((x k - 0 * mu k) / s1)).
  - apply filter_forall. reflexivity.
  - f_equal. ring.
  - flim; auto. eapply denoiser_limit; eauto.
Qed.

(** [(x - sigma eps)/alpha] is 0/0 with the removable limit mu. *)
Theorem C2_removable k :
  filterlim (fun t => x k - si t * eps t k) F (locally 0) /\
  filterlim (fun t => Formulas.denoiser_of_epsilon (eps t k) (x k) (al t) (si t)) F (locally (mu k)).
Proof.
  split.
  - apply (flim_eq F (fun t => al t * hat t k) _ (0 * mu k)); [|ring|flim; eapply denoiser_limit; eauto].
    apply (filter_imp (fun t => si t <> 0)); auto. intros t Hs. unfold eps_of. field. auto.
  - apply (filterlim_ext_loc (fun t => hat t k)); [|eapply denoiser_limit; eauto].
    apply (filter_imp (fun t => si t <> 0 /\ al t <> 0)); [|apply filter_and; auto]. intros t [Hs Ha].
    rewrite tie_denoiser_of_epsilon. unfold eps_of. field. auto.
Qed.

Theorem C2_v_limit k : filterlim (fun t => Formulas.v_of (eps t k) (hat t k) (al t) (si t)) F (locally (Formulas.terminal_v (mu k) s1)).
Proof.
  rewrite tie_terminal_v. apply (flim_eq F (fun t => al t * eps t k - si t * hat t k) _ (0 * (x k / s1) - s1 * mu k)).
  - apply filter_forall. intros t. rewrite tie_v_of. reflexivity.
  - ring.
  - apply (flim_minus F); apply (flim_mult F); auto; [apply C2_epsilon_limit|eapply denoiser_limit; eauto].
Qed.

(** An error in eps grows without bound … *)
Theorem C2_epsilon_unbounded M : F (fun t => M < Rabs (Formulas.epsilon_error_gain (al t) (si t))).
Proof.
  assert (L : filterlim (fun t => Rabs (al t)) F (locally 0)).
  { rewrite <- Rabs_R0. apply (flim_comp F al Rabs); auto. apply continuous_Rabs. }
  assert (S : filterlim (fun t => Rabs (si t)) F (locally (Rabs s1))) by (apply (flim_comp F si Rabs); auto; apply continuous_Rabs).
  assert (H1 : 0 < Rabs s1) by (apply Rabs_pos_lt; auto).
  assert (HM : 0 < Rabs s1 / 2 / (Rabs M + 1)) by (apply Rdiv_lt_0_compat; pose proof (Rabs_pos M); lra).
  assert (H2 : 0 < Rabs s1 / 2) by lra.
  assert (L' := flim_near F _ _ _ L HM). assert (S' := flim_near F _ _ _ S H2).
  apply (filter_imp (fun t => (Rabs (Rabs (al t) - 0) < Rabs s1 / 2 / (Rabs M + 1) /\ Rabs (Rabs (si t) - Rabs s1) < Rabs s1 / 2) /\ al t <> 0));
    [|repeat apply filter_and; auto].
  intros t [[Ha Hs] Hn]. rewrite Rminus_0_r, Rabs_Rabsolu in Ha. apply Rabs_lt_between in Hs.
  rewrite tie_epsilon_error_gain. unfold Rdiv. rewrite Rabs_mult, Rabs_Ropp, Rabs_inv.
  assert (Hpa : 0 < Rabs (al t)) by (apply Rabs_pos_lt; auto).
  apply Rmult_lt_reg_r with (Rabs (al t)); auto. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
  apply Rle_lt_trans with (Rabs M * Rabs (al t)); [apply Rmult_le_compat_r; [lra|apply Rle_abs]|].
  pose proof (Rabs_pos M). apply Rmult_lt_compat_r with (r := Rabs M + 1) in Ha; [|lra].
  unfold Rdiv in Ha at 1. rewrite Rmult_assoc, Rinv_l in Ha by lra. nra.
Qed.

(** … and one in v is multiplied by [-1/s1] at the end. *)
Theorem C2_v_gain : filterlim (fun t => Formulas.v_error_gain (al t) (si t)) F (locally (- / s1)).
Proof.
  apply (flim_eq F (fun t => (-1) * si t / (al t ^ 2 + si t ^ 2)) _ ((-1) * s1 / (0 ^ 2 + s1 ^ 2))).
  - apply filter_forall. intros t. rewrite tie_v_error_gain. f_equal. ring.
  - field. auto.
  - assert (s1 ^ 2 <> 0) by (apply pow_nonzero; auto). flim; simpl in *; lra.
Qed.

(** ** C3. The flow's drift at t = 1 *)

Theorem C3_limit k (ad sd : T -> R) (a1 d1 : R) : filterlim ad F (locally a1) -> filterlim sd F (locally d1) ->
  filterlim (fun t => Formulas.ode_drift (ad t) (sd t) (hat t k) (eps t k)) F (locally (Formulas.terminal_drift a1 d1 (mu k) (x k) s1)).
Proof.
  intros Had Hsd. rewrite tie_terminal_drift.
  apply (flim_eq F (fun t => ad t * hat t k + sd t * eps t k) _ (a1 * mu k + d1 * (x k / s1))); auto.
  - apply filter_forall. intros t. rewrite tie_ode_drift. reflexivity.
  - apply (flim_plus F); apply (flim_mult F); auto; [eapply denoiser_limit; eauto|apply C2_epsilon_limit].
Qed.
End Paths.

(** The exact errors, at any time *)
Theorem C2_epsilon_error x m a s delta : a <> 0 -> s <> 0 ->
  Formulas.denoiser_of_epsilon (eps_of x m a s + delta) x a s - m = Formulas.epsilon_error_gain a s * delta.
Proof. intros Ha Hs. rewrite tie_denoiser_of_epsilon, tie_epsilon_error_gain. unfold eps_of. field. auto. Qed.

Theorem C2_v_error x m a s delta : s <> 0 ->
  Formulas.denoiser_of_v (Formulas.v_of (eps_of x m a s) m a s + delta) x a s - m = Formulas.v_error_gain a s * delta.
Proof.
  intros Hs. rewrite tie_denoiser_of_v, tie_v_error_gain, tie_v_of. unfold eps_of.
  assert (a ^ 2 + s ^ 2 <> 0). { assert (0 < s ^ 2) by (apply pow2_gt_0; auto). pose proof (pow2_ge_0 a). lra. }
  field. auto.
Qed.

(** At the end itself, for every law: the denoiser is the mean (A5), so that [eps = x/s1] and [v = -s1 mu]. *)
Theorem C2_end d n w y s x k : s <> 0 -> sumn n w = 1 ->
  let m := denoiser d n w y 0 s x k in
  m = mean_of n w y k /\ eps_of (x k) m 0 s = Formulas.terminal_epsilon (x k) s /\
  Formulas.v_of (eps_of (x k) m 0 s) m 0 s = Formulas.terminal_v (mean_of n w y k) s.
Proof.
  intros Hs Hw m. assert (E : m = mean_of n w y k) by (apply denoiser_end; auto). rewrite E.
  rewrite tie_terminal_epsilon, tie_terminal_v, tie_v_of. unfold eps_of. repeat split; field; auto.
Qed.

(** In VP the drift is [alpha' (m - alpha x)/sigma^2]. *)
Theorem C3_vp x m a s a' : s <> 0 -> a ^ 2 + s ^ 2 = 1 ->
  Formulas.ode_drift a' (- a * a' / s) m (eps_of x m a s) = Formulas.vp_ode_drift x m a s a'.
Proof.
  intros Hs H. rewrite tie_ode_drift, tie_vp_ode_drift. unfold eps_of.
  replace (a' * m + - a * a' / s * ((x - a * m) / s)) with (a' * (m * (s ^ 2 + a ^ 2) - a * x) / s ^ 2) by (field; auto).
  rewrite (Rplus_comm (s ^ 2)), H, Rmult_1_r. auto.
Qed.

(** ** C3 for alpha = u^p in VP, u = 1 - t

    The drift over [u^(p-1)] tends to [-p mu], and where [mu = 0] the drift over [u^(2p-1)] tends to [-p (Sigma x - x)]. *)

Definition vp_drift d n w y x p u : vec := fun k =>
  let a := Rpower u p in Formulas.vp_ode_drift (x k) (denoiser d n w y a (sqrt (1 - a ^ 2)) x k) a (sqrt (1 - a ^ 2)) (- p * Rpower u (p - 1)).

Lemma Rpower_to_0 p : 0 < p -> filterlim (fun u => Rpower u p) (at_right 0) (locally 0).
Proof.
  intros Hp P [eps HP]. set (e := pos eps). assert (He : 0 < e) by apply cond_pos.
  assert (Hd : 0 < Rpower e (/ p)) by apply exp_pos.
  exists (mkposreal _ Hd). intros u Hu Hu0. apply HP. change (Rabs (Rpower u p - 0) < e). simpl in *.
  change (Rabs (u - 0) < Rpower e (/ p)) in Hu. rewrite Rminus_0_r in *. rewrite Rabs_right in Hu by lra.
  rewrite Rabs_right by (left; apply exp_pos).
  replace e with (Rpower (Rpower e (/ p)) p).
  - unfold Rpower at 1 3. apply exp_increasing. apply Rmult_lt_compat_l; auto. apply ln_increasing; auto.
  - rewrite Rpower_mult, Rinv_l by lra. apply Rpower_1; auto.
Qed.

Lemma vp_sigma p : 0 < p -> filterlim (fun u => sqrt (1 - Rpower u p ^ 2)) (at_right 0) (locally 1).
Proof.
  intros Hp. apply (flim_eq (at_right 0) (fun u => sqrt (1 - Rpower u p ^ 2)) _ (sqrt (1 - 0 ^ 2))).
  - apply filter_forall. auto.
  - replace (1 - 0 ^ 2) with 1 by ring. apply sqrt_1.
  - apply (flim_comp (at_right 0) (fun u => 1 - Rpower u p ^ 2) sqrt).
    + flim. apply Rpower_to_0; auto.
    + apply continuous_sqrt.
Qed.

Lemma near_end p : 0 < p -> at_right 0 (fun u => 0 < u /\ 0 < 1 - Rpower u p ^ 2).
Proof.
  intros Hp. apply filter_and.
  - exists (mkposreal 1 Rlt_0_1). auto.
  - pose proof (flim_near (at_right 0) _ _ _ (Rpower_to_0 p Hp) Rlt_0_1) as H.
    apply (filter_imp (fun u => Rabs (Rpower u p - 0) < 1)).
    + intros u Hu. rewrite Rminus_0_r in Hu. apply Rabs_lt_between in Hu. nra.
    + exact H.
Qed.

Section Power.
Variables (d n : nat) (w : nat -> R) (y : nat -> vec) (x : vec) (p : R).
Hypothesis Hw : weights n w.
Hypothesis Hp : 0 < p.
Let FF : Filter (at_right 0) := _.

Lemma sigma_nonzero : at_right 0 (fun u => sqrt (1 - Rpower u p ^ 2) <> 0).
Proof. apply (filter_imp (fun u => 0 < u /\ 0 < 1 - Rpower u p ^ 2)); [|apply near_end; auto]. intros u [_ H]. apply Rgt_not_eq, sqrt_lt_R0; auto. Qed.

Theorem C3_order k : filterlim (fun u => vp_drift d n w y x p u k / Rpower u (Formulas.drift_exponent p)) (at_right 0) (locally (- p * mean_of n w y k)).
Proof.
  apply (flim_eq (at_right 0) (fun u => - p * (denoiser d n w y (Rpower u p) (sqrt (1 - Rpower u p ^ 2)) x k - Rpower u p * x k) / sqrt (1 - Rpower u p ^ 2) ^ 2) _
     (- p * (mean_of n w y k - 0 * x k) / 1 ^ 2)).
  - apply (filter_imp (fun u => sqrt (1 - Rpower u p ^ 2) <> 0)); [|apply sigma_nonzero]. intros u Hs. unfold vp_drift. rewrite tie_vp_ode_drift, tie_drift_exponent.
    field. split; auto. apply Rgt_not_eq, exp_pos.
  - field.
  - pose proof (Rpower_to_0 p Hp). pose proof (vp_sigma p Hp). flim; try lra.
    apply (denoiser_limit (at_right 0) d n w y x (fun u => Rpower u p) (fun u => sqrt (1 - Rpower u p ^ 2)) 1); auto; try lra. apply sigma_nonzero.
Qed.

Theorem C3_centred_order k : mean_of n w y k = 0 ->
  filterlim (fun u => vp_drift d n w y x p u k / Rpower u (Formulas.centred_drift_exponent p)) (at_right 0) (locally (- p * (cov_times d n w y x k - x k))).
Proof.
  intros Hmu.
  apply (flim_eq (at_right 0) (fun u => - p * ((denoiser d n w y (Rpower u p) (sqrt (1 - Rpower u p ^ 2)) x k - mean_of n w y k) / Rpower u p - x k) / sqrt (1 - Rpower u p ^ 2) ^ 2) _
     (- p * (cov_times d n w y x k / 1 ^ 2 - x k) / 1 ^ 2)).
  - apply (filter_imp (fun u => sqrt (1 - Rpower u p ^ 2) <> 0)); [|apply sigma_nonzero]. intros u Hs. unfold vp_drift. rewrite tie_vp_ode_drift, tie_centred_drift_exponent, Hmu.
    replace (2 * p - 1) with (p + (p - 1)) by ring. rewrite Rpower_plus. field. repeat split; auto; apply Rgt_not_eq, exp_pos.
  - field.
  - pose proof (vp_sigma p Hp). set (L := cov_times d n w y x k / 1 ^ 2). flim; try lra. unfold L.
    apply (denoiser_slope (at_right 0) d n w y x (fun u => Rpower u p) (fun u => sqrt (1 - Rpower u p ^ 2)) 1); auto; try lra.
    + apply Rpower_to_0; auto.
    + apply sigma_nonzero.
    + apply filter_forall. intros u. apply Rgt_not_eq, exp_pos.
Qed.
(** So near the end the drift at a fixed x lies below a power of u above -1, which can be integrated down to 0 (C3_integrable). *)
Theorem C3_dominated k : -1 < Formulas.drift_exponent p /\
  exists K b, 0 < b /\ forall u, 0 < u < b -> Rabs (vp_drift d n w y x p u k) <= K * Rpower u (Formulas.drift_exponent p).
Proof.
  split; [unfold Formulas.drift_exponent; lra|]. set (l := - p * mean_of n w y k).
  pose proof (flim_near (at_right 0) _ l 1 (C3_order k) Rlt_0_1) as [b Hb]. exists (Rabs l + 1), b. split; [apply cond_pos|]. intros u Hu.
  assert (B : ball 0 b u) by (change (Rabs (u - 0) < b); rewrite Rminus_0_r, Rabs_right; lra).
  specialize (Hb u B (proj1 Hu)). cbv beta in Hb. set (v := vp_drift d n w y x p u k) in *. set (r := Rpower u (Formulas.drift_exponent p)) in *.
  assert (Hr : 0 < r) by apply exp_pos. replace v with (v / r * r) by (field; lra). rewrite Rabs_mult, (Rabs_right r) by lra. apply Rmult_le_compat_r; [lra|].
  replace (v / r) with ((v / r - l) + l) by ring. eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

End Power.

(** Both powers of u can be integrated down to 0: the integral from [e] to [b] is bounded whatever [e] is. *)
Theorem C3_integrable q e b : -1 < q -> 0 < e -> e <= b -> RInt (fun u => Rpower u q) e b <= Rpower b (q + 1) / (q + 1).
Proof.
  intros Hq He Hb. assert (I : is_RInt (fun u => Rpower u q) e b (Rpower b (q + 1) / (q + 1) - Rpower e (q + 1) / (q + 1))).
  { apply (is_RInt_derive (fun u => Rpower u (q + 1) / (q + 1))).
    - intros u Hu. rewrite Rmin_left in Hu by lra. unfold Rpower. auto_derive; [lra|].
      replace ((q + 1) * ln u) with (q * ln u + ln u) by ring. rewrite exp_plus, exp_ln by lra. field. lra.
    - intros u Hu. rewrite Rmin_left in Hu by lra. apply (ex_derive_continuous (fun u => Rpower u q)). unfold Rpower. auto_derive. lra. }
  rewrite (is_RInt_unique _ _ _ _ I). assert (0 <= Rpower e (q + 1) / (q + 1)); [|lra].
  apply Rdiv_le_0_compat; [left; apply exp_pos|lra].
Qed.

(** ** C4. The reverse SDE at t = 1 *)

(** f and g^2 keep the mean factor alpha and the variance 1 - alpha^2. *)
Theorem C4_coefficients (al : R -> R) t a' : is_derive al t a' -> al t <> 0 ->
  let f := Formulas.sde_rate (al t) a' in let g2 := Formulas.vp_sde_diffusion2 (al t) a' in
  f * al t = a' /\ is_derive (fun u => 1 - al u ^ 2) t (2 * f * (1 - al t ^ 2) + g2).
Proof.
  intros Ha Hn f g2. unfold f, g2. rewrite tie_sde_rate, tie_vp_sde_diffusion2. split; [field; auto|].
  auto_derive; [exists a'; exact Ha|]. rate Ha. field. auto.
Qed.

(** The integral of the rate, for a decreasing alpha with a continuous derivative *)
Theorem C4_integral (al ad : R -> R) s r : s <= r -> (forall u, s <= u <= r -> is_derive al u (ad u) /\ continuous ad u /\ 0 < al u /\ ad u <= 0) ->
  is_RInt (fun u => Rabs (ad u / al u)) s r (Formulas.sde_rate_integral (al s) (al r)).
Proof.
  intros Hsr H. rewrite tie_sde_rate_integral. assert (Hs : 0 < al s) by (apply H; lra). assert (Hr : 0 < al r) by (apply H; lra).
  rewrite ln_div by auto. apply (is_RInt_ext (fun u => - ad u / al u)).
  - intros u Hu. rewrite Rmin_left, Rmax_right in Hu by lra. destruct (H u) as (_ & _ & Hp & Hn); [lra|].
    replace (- ad u / al u) with (- (ad u / al u)) by (field; lra). symmetry. apply Rabs_left1.
    unfold Rdiv. assert (0 < / al u) by (apply Rinv_0_lt_compat; auto). nra.
  - replace (ln (al s) - ln (al r)) with (- ln (al r) - - ln (al s)) by ring.
    apply (is_RInt_derive (fun u => - ln (al u))).
    + intros u Hu. rewrite Rmin_left, Rmax_right in Hu by lra. destruct (H u) as (Hd & _ & Hp & _); [lra|].
      auto_derive; [split; [exists (ad u); exact Hd|auto]|]. rate Hd. field. lra.
    + intros u Hu. rewrite Rmin_left, Rmax_right in Hu by lra. destruct (H u) as (Hd & Hc & Hp & _); [lra|].
      apply (continuous_mult (K := R_AbsRing) (fun u => - ad u) (fun u => / al u)).
      * apply (continuous_opp (V := R_NormedModule) ad); auto.
      * apply (continuous_comp al Rinv); [apply (ex_derive_continuous al); exists (ad u); auto|].
        apply (ex_derive_continuous Rinv). auto_derive. lra.
Qed.

(** The same where the derivative may jump at finitely many nodes: [al] is one such function [alk k] after the other. *)
Theorem C4_pieces (al rate : R -> R) (alk adk : nat -> R -> R) (node : nat -> R) N :
  (forall k, (k < N)%nat -> node k <= node (S k) /\ (forall u, node k <= u <= node (S k) ->
    is_derive (alk k) u (adk k u) /\ continuous (adk k) u /\ 0 < alk k u /\ adk k u <= 0 /\ al u = alk k u) /\
    (forall u, node k < u < node (S k) -> rate u = Rabs (adk k u / alk k u))) ->
  0 < al (node 0%nat) -> is_RInt rate (node 0%nat) (node N) (Formulas.sde_rate_integral (al (node 0%nat)) (al (node N))).
Proof.
  intros H H0. rewrite tie_sde_rate_integral. induction N as [|N IH].
  - unfold Rdiv. rewrite Rinv_r, ln_1 by lra. apply (is_RInt_point (V := R_NormedModule)).
  - destruct (H N ltac:(lia)) as (Hle & Hk & Hr).
    assert (HN : 0 < al (node N)) by (destruct (Hk (node N) ltac:(lra)) as (_ & _ & P & _ & ->); exact P).
    assert (HS : 0 < al (node (S N))) by (destruct (Hk (node (S N)) ltac:(lra)) as (_ & _ & P & _ & ->); exact P).
    replace (ln (al (node 0%nat) / al (node (S N)))) with (plus (ln (al (node 0%nat) / al (node N))) (ln (al (node N) / al (node (S N)))))
      by (rewrite !ln_div by auto; unfold plus; simpl; ring).
    apply (is_RInt_Chasles (V := R_NormedModule)) with (node N); [apply IH; intros k Hkk; apply H; lia|].
    apply (is_RInt_ext (fun u => Rabs (adk N u / alk N u))); [intros u Hu; rewrite Rmin_left, Rmax_right in Hu by lra; symmetry; apply Hr; lra|].
    destruct (Hk (node N) ltac:(lra)) as (_ & _ & _ & _ & ->). destruct (Hk (node (S N)) ltac:(lra)) as (_ & _ & _ & _ & ->).
    rewrite <- tie_sde_rate_integral. apply C4_integral; auto. intros u Hu. destruct (Hk u Hu) as (A1 & A2 & A3 & A4 & _). auto.
Qed.

(** It passes every level as alpha_r tends to 0 from above: not integrable on any schedule with alpha_1 = 0. *)
Theorem C4_divergence {T : Type} (F : (T -> Prop) -> Prop) {FF : Filter F} (al : T -> R) a_s M :
  0 < a_s -> filterlim al F (locally 0) -> F (fun t => 0 < al t) -> F (fun t => M < Formulas.sde_rate_integral a_s (al t)).
Proof.
  intros Ha Hl Hp. assert (He : 0 < a_s * exp (- M)) by (apply Rmult_lt_0_compat; auto; apply exp_pos).
  pose proof (flim_near F _ _ _ Hl He) as H.
  apply (filter_imp (fun t => Rabs (al t - 0) < a_s * exp (- M) /\ 0 < al t)); [|apply filter_and; auto]. intros t [H1 H2].
  rewrite Rminus_0_r, Rabs_right in H1 by lra. rewrite tie_sde_rate_integral, ln_div by auto.
  apply ln_increasing in H1; auto. rewrite ln_mult, ln_exp in H1; auto; [lra|apply exp_pos].
Qed.

(** With alpha_1 > 0 it is finite, and the start N(0, I) has the wrong mean unless mu = 0, and the wrong variance, by [alpha_1^2 (lam - 1)] along an
    eigenvector, unless lam = 1. *)
Theorem C4_start a s mu lam : a ^ 2 + s ^ 2 = 1 -> 0 < a ->
  (a * mu = 0 <-> mu = 0) /\ Formulas.marginal_var a s lam - 1 = a ^ 2 * (lam - 1) /\ (Formulas.marginal_var a s lam = 1 <-> lam = 1).
Proof.
  intros H Ha. assert (0 < a ^ 2) by (apply pow_lt; auto).
  assert (V : Formulas.marginal_var a s lam - 1 = a ^ 2 * (lam - 1)) by (rewrite tie_marginal_var; unfold var_t; replace (s ^ 2) with (1 - a ^ 2) by lra; ring).
  split; [|split; auto; split; nra]. split; [|intros ->; ring]. intros E. apply Rmult_integral in E. lra.
Qed.

(** The kernel of the same step is regular. *)
Theorem C4_kernel s_t a_s s_s : a_s <> 0 -> s_t <> 0 ->
  Formulas.bridge_a 0 s_t a_s s_s = 0 /\ Formulas.bridge_b 0 s_t a_s s_s = a_s /\ Formulas.bridge_var 0 s_t a_s s_s = s_s ^ 2.
Proof. intros Ha Hs. rewrite tie_bridge_a, tie_bridge_b, tie_bridge_var by auto. apply A5_coefficients; auto. Qed.
